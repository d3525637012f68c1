// Small but proper .torrent files for the tests.
import { createHash } from 'node:crypto';

/** A single-file torrent of one piece. */
export function torrentFile(name: string, content = name): { bytes: Buffer; infoHashHex: string } {
  const piece = createHash('sha1').update(content).digest();
  const info = Buffer.concat([
    Buffer.from(
      `d6:lengthi${Buffer.byteLength(content)}e4:name${Buffer.byteLength(name)}:${name}12:piece lengthi16384e6:pieces20:`,
    ),
    piece,
    Buffer.from('e'),
  ]);
  return {
    bytes: Buffer.concat([Buffer.from('d4:info'), info, Buffer.from('e')]),
    infoHashHex: createHash('sha1').update(info).digest('hex'),
  };
}
