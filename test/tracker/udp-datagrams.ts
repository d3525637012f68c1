// Datagrams as UDP clients write them (BEP 15, 41), for the tests.

/** A connect. */
export function connectDatagram(transaction = 1): Buffer {
  const datagram = Buffer.alloc(16);
  datagram.writeBigUInt64BE(0x41727101980n, 0);
  datagram.writeUInt32BE(transaction, 12);
  return datagram;
}

/** A good announce, with some parts changed. */
export function announceDatagram(
  connectionId: Uint8Array,
  changes: {
    transaction?: number;
    infoHash?: Buffer;
    left?: bigint;
    event?: number;
    key?: number;
    wanted?: number;
    port?: number;
    options?: Buffer;
  } = {},
): Buffer {
  const datagram = Buffer.alloc(98);
  datagram.set(connectionId, 0);
  datagram.writeUInt32BE(1, 8);
  datagram.writeUInt32BE(changes.transaction ?? 2, 12);
  datagram.set(changes.infoHash ?? Buffer.alloc(20, 0xaa), 16);
  datagram.write('-XX0001-abcdefghijkl', 36, 'latin1');
  datagram.writeBigUInt64BE(changes.left ?? 100n, 64);
  datagram.writeUInt32BE(changes.event ?? 0, 80);
  datagram.writeUInt32BE(0xc6336401, 84); // Somebody else's address.
  datagram.writeUInt32BE(changes.key ?? 0, 88);
  datagram.writeInt32BE(changes.wanted ?? -1, 92);
  datagram.writeUInt16BE(changes.port ?? 6881, 96);
  return Buffer.concat([datagram, changes.options ?? Buffer.alloc(0)]);
}

/** The URL data option of BEP 41, in parts of at most 255 bytes. */
export function urlData(url: string): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < url.length; at += 255) {
    const part = Buffer.from(url.slice(at, at + 255), 'latin1');
    parts.push(Buffer.from([2, part.length]), part);
  }
  return Buffer.concat(parts);
}

/** A scrape of these info hashes. */
export function scrapeDatagram(connectionId: Uint8Array, infoHashes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(16);
  head.set(connectionId, 0);
  head.writeUInt32BE(2, 8);
  head.writeUInt32BE(3, 12);
  return Buffer.concat([head, ...infoHashes]);
}
