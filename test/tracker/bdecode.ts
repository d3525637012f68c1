// A strict bencode reader for what the tracker writes: independent of the encoder under test and of torrent/,
// so that a mistake in one cannot hide in the other. Keys must be in order; nothing may follow.

export type Bencoded = number | Buffer | Bencoded[] | { [key: string]: Bencoded };

/** Decodes one value; byte strings become Buffers, keys latin1 strings. Throws on anything that is not strict. */
export function decode(bytes: Uint8Array): Bencoded {
  const text = Buffer.from(bytes).toString('latin1');
  let at = 0;
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) throw new Error(`not bencoded at ${at}: ${JSON.stringify(text.slice(at, at + 20))}`);
    at += match[0].length;
    return match[1] ?? '';
  };
  const byteString = (): Buffer => {
    const length = Number(take(/(0|[1-9]\d*):/y));
    if (at + length > text.length) throw new Error('a string goes past the end');
    at += length;
    return Buffer.from(text.slice(at - length, at), 'latin1');
  };
  const value = (): Bencoded => {
    if (text[at] === 'i') return Number(take(/i(0|-?[1-9]\d*)e/y));
    if (text[at] === 'l') {
      at += 1;
      const list: Bencoded[] = [];
      while (text[at] !== 'e') list.push(value());
      at += 1;
      return list;
    }
    if (text[at] === 'd') {
      at += 1;
      const dictionary: { [key: string]: Bencoded } = {};
      let last: string | undefined;
      while (text[at] !== 'e') {
        const key = byteString().toString('latin1');
        if (last !== undefined && key <= last) throw new Error(`key ${key} after ${last}`);
        last = key;
        dictionary[key] = value();
      }
      at += 1;
      return dictionary;
    }
    return byteString();
  };
  const decoded = value();
  if (at !== text.length) throw new Error(`bytes after the end, at ${at}`);
  return decoded;
}
