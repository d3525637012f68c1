// Types for the part of the npm package `bencode` that is used; it ships none. Only torrent/bencode.ts imports it.
declare module 'bencode' {
  const bencode: {
    encode(data: unknown): Uint8Array;
  };
  export default bencode;
}
