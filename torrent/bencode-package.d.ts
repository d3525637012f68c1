// Types for the npm package `bencode`, which ships none. Only torrent/bencode.ts imports it.
declare module 'bencode' {
  export type DecodedByPackage =
    | number
    | Uint8Array
    | DecodedByPackage[]
    | { [key: string]: DecodedByPackage };

  const bencode: {
    decode(data: Uint8Array): DecodedByPackage;
    encode(data: unknown): Uint8Array;
  };
  export default bencode;
}
