// What a peer may do wrong on a connection, one way each. Invariant: a misdeed is said in a bounded number of
// bytes, whatever becomes of the connection meanwhile.
import { encodeBencode } from '../../../torrent/bencode.ts';
import type { Metainfo } from '../../../torrent/metainfo.ts';
import type { RawPeer } from '../session/raw-peer.ts';

const BLOCK = 16 * 1024;

/** What a misdeed needs to know. */
export interface Victim {
  readonly metainfo: Metainfo;
  /** Numbers 0 ≤ x < 1. */
  readonly random: () => number;
}

/** A way to misbehave after the handshakes. */
export type Misdeed = (peer: RawPeer, victim: Victim) => void;

function times(count: number, work: (i: number) => void): void {
  for (let i = 0; i < count; i++) work(i);
}

/** Our own extension under BEP 10, which makes a peer an own agent: it is unchoked at once. */
const OWN_AGENT = { m: { enxame: 1, ut_metadata: 2, ut_pex: 3 }, reqq: 2000 };

/** A peer exchange (BEP 11) of so many addresses. */
function exchange(count: number, random: () => number): Buffer {
  const added = Buffer.alloc(6 * count);
  // 198.18.0.0/15 is for tests of networks: nobody answers there, and nobody is disturbed.
  times(count, (i) => {
    added.set([198, 18 + Math.trunc(random() * 2), random() * 256, random() * 256], 6 * i);
    added.writeUInt16BE(Math.trunc(random() * 65536), 6 * i + 4);
  });
  return encodeBencode({ added, 'added.f': Buffer.alloc(count) });
}

/** By the name that tests and reports give them. */
export const MISDEEDS: { readonly [name: string]: Misdeed } = {
  'a length of 4 GiB': (peer) => peer.send(Buffer.from('ffffffff07', 'hex')),
  'a message of the wrong length': (peer) => peer.send(Buffer.from('00000006040000000000', 'hex')),
  'many bitfields': (peer, { metainfo }) =>
    times(700, () => peer.writer.bitfield(new Uint8Array((metainfo.pieceCount + 7) >>> 3))),
  'spare bits': (peer, { metainfo }) =>
    peer.writer.bitfield(Buffer.alloc((metainfo.pieceCount + 8) >>> 3, 0xff)),
  'have beyond the end': (peer, { metainfo }) => peer.writer.have(metainfo.pieceCount),
  'a request beyond the piece': (peer, { metainfo }) => peer.writer.request(0, metainfo.pieceLength, BLOCK),
  'a request of no bytes': (peer) => peer.writer.request(0, 0, 0),
  'a request over 16 KiB': (peer) => peer.writer.request(0, 0, BLOCK + 1),
  'requests while choked': (peer, { metainfo }) =>
    times(5000, (i) => peer.writer.request(i % metainfo.pieceCount, 0, BLOCK)),
  'more requests than it may': (peer, { metainfo }) => {
    peer.writer.extended(0, encodeBencode(OWN_AGENT));
    peer.writer.haveNone();
    peer.writer.interested();
    times(10_000, (i) => peer.writer.request(i % metainfo.pieceCount, 0, BLOCK));
  },
  'requests and cancels': (peer, { metainfo }) => {
    peer.writer.extended(0, encodeBencode(OWN_AGENT));
    peer.writer.interested();
    times(3000, (i) => {
      peer.writer.request(i % metainfo.pieceCount, 0, BLOCK);
      peer.writer.cancel(i % metainfo.pieceCount, 0, BLOCK);
    });
  },
  'cancels of what was never asked for': (peer, { metainfo }) => {
    peer.writer.extended(0, encodeBencode(OWN_AGENT));
    peer.writer.interested();
    times(1900, (i) => peer.writer.request(i % metainfo.pieceCount, 0, BLOCK));
    times(5000, () => peer.writer.cancel(0, 1, 7));
  },
  'pieces nobody asked for': (peer, { metainfo, random }) => {
    const block = Buffer.alloc(BLOCK, random() * 256);
    times(60, (i) => peer.writer.block(i % metainfo.pieceCount, 0, block));
  },
  'keep-alives': (peer) => peer.send(Buffer.alloc(4 * 5000)),
  chokes: (peer) =>
    times(3000, (i) => {
      if (i % 2 === 0) peer.writer.choke();
      else peer.writer.unchoke();
    }),
  interests: (peer) =>
    times(3000, (i) => {
      if (i % 2 === 0) peer.writer.interested();
      else peer.writer.notInterested();
    }),
  'haves that say nothing new': (peer) => times(3000, () => peer.writer.have(0)),
  'pieces lost and found': (peer) =>
    times(1500, () => {
      peer.writer.have(0);
      peer.writer.extended(4, Buffer.alloc(4));
    }),
  'everything, and sends nothing': (peer) => {
    peer.writer.haveAll();
    peer.writer.unchoke();
  },
  'rejects, suggestions, allowances': (peer, { metainfo }) =>
    times(1000, (i) => {
      peer.writer.reject(i % metainfo.pieceCount, 0, BLOCK);
      peer.writer.suggest(i % metainfo.pieceCount);
      peer.writer.allowedFast(i % metainfo.pieceCount);
    }),
  'introductions without end': (peer) => times(40, () => peer.writer.extended(0, encodeBencode(OWN_AGENT))),
  'numbers out of range': (peer) =>
    peer.writer.extended(
      0,
      encodeBencode({ m: { ut_metadata: 999, ut_pex: -1 }, metadata_size: 2 ** 50, p: 0, reqq: 0 }),
    ),
  'an introduction of 60 kB': (peer) =>
    peer.writer.extended(0, encodeBencode({ m: {}, v: 'x'.repeat(60_000) })),
  'metadata nobody asked for': (peer) =>
    times(200, (i) => {
      const head = encodeBencode({ msg_type: 1, piece: i % 500, total_size: 2 ** 40 });
      peer.writer.extended(2, Buffer.concat([head, Buffer.alloc(BLOCK)]));
    }),
  'requests for metadata': (peer) => {
    peer.writer.extended(0, encodeBencode(OWN_AGENT));
    times(2000, (i) => peer.writer.extended(2, encodeBencode({ msg_type: 0, piece: i % 500 })));
  },
  'thousands of addresses': (peer, { random }) => {
    peer.writer.extended(0, encodeBencode(OWN_AGENT));
    times(20, () => peer.writer.extended(3, exchange(5000, random)));
  },
  rubbish: (peer, { random }) => {
    const bytes = Buffer.alloc(4000);
    times(bytes.length, (i) => {
      bytes[i] = random() * 256;
    });
    // Half of it is taken for messages of a possible length.
    if (random() < 0.5) for (let at = 0; at + 3 < bytes.length; at += 13) bytes.writeUInt32BE(9, at);
    peer.send(bytes);
  },
};
