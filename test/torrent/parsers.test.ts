// Every parser of what a remote, a link or a file says, under bytes that are nearly right: it gives a value that keeps
// its bounds, or a TorrentError of its own, and nothing else. FUZZ_RUNS makes it longer, FUZZ_SEED repeats a run.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeBencode, encodeBencode, readDictionary } from '../../torrent/bencode.ts';
import { Bitfield } from '../../torrent/bitfield.ts';
import { parseAnnounceReply } from '../../torrent/discovery/announce-reply.ts';
import { isTorrentError, type TorrentErrorCode } from '../../torrent/errors.ts';
import { parseMagnet } from '../../torrent/magnet.ts';
import { MAX_METAINFO_BYTES, parseInfo, parseMetainfo } from '../../torrent/metainfo.ts';
import { addressOfBytes } from '../../torrent/session/peers/address-bytes.ts';
import { decodeResume, encodeResume } from '../../torrent/storage/resume/resume.ts';
import { encodeExtensionHandshake, parseExtensionHandshake } from '../../torrent/wire/extension.ts';
import { encodeHandshake, HandshakeReader } from '../../torrent/wire/handshake.ts';
import { MessageReader } from '../../torrent/wire/message-reader.ts';
import { MessageWriter } from '../../torrent/wire/message-writer.ts';
import {
  encodeMetadataData,
  encodeMetadataRequest,
  METADATA_PIECE_BYTES,
  parseMetadataMessage,
} from '../../torrent/wire/metadata-message.ts';
import { encodePeerExchange, MAX_EXCHANGED, parsePeerExchange } from '../../torrent/wire/peer-exchange.ts';
import { fuzzParameters, mutated } from './fuzz.ts';
import { makeTorrent, PIECE } from './storage/content.ts';
import { BLOCK, makeSwarm } from './swarm/harness.ts';
import { recorder } from './wire/recorder.ts';

const RUNS = 20_000;

const { metainfo } = makeTorrent([
  { path: 'a/b', length: PIECE, executable: true },
  { path: 'c', length: 5 },
]);
const addresses = [
  { host: '10.0.0.1', port: 1 },
  { host: '2001:db8::1', port: 65535 },
];

/** A parser, what it is nearly given, and the ways in which it may refuse. */
interface Parser {
  readonly valid: readonly Uint8Array[];
  readonly refusals: readonly TorrentErrorCode[];
  /** Parses, and looks whether what came of it keeps its bounds. */
  readonly parse: (bytes: Buffer) => void;
}

const utf8 = (text: string) => Buffer.from(text);

const PARSERS: { readonly [name: string]: Parser } = {
  bencode: {
    valid: [metainfo.infoBytes, encodeBencode({ a: [1, -2, { b: '' }], c: 'x'.repeat(30) })],
    refusals: ['InvalidBencode'],
    parse: (bytes) => {
      readDictionary(bytes, ['a', 'pieces']);
      decodeBencode(bytes);
    },
  },
  'an info dictionary': {
    valid: [metainfo.infoBytes],
    refusals: ['InvalidBencode', 'InvalidMetainfo', 'UnsupportedMetainfo', 'TooLarge'],
    parse: (bytes) => {
      const { pieceCount, pieceHashes, files, totalBytes } = parseInfo(bytes);
      expect(pieceHashes.length).toBe(20 * pieceCount);
      expect(files.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBe(totalBytes);
    },
  },
  'a .torrent file': {
    valid: [
      encodeBencode({
        announce: 'http://t/announce',
        'announce-list': [['http://t/'], ['udp://u:1/']],
        info: decodeBencode(metainfo.infoBytes) as never,
        'url-list': ['http://w/'],
      }),
    ],
    refusals: ['InvalidBencode', 'InvalidMetainfo', 'UnsupportedMetainfo', 'TooLarge'],
    parse: (bytes) => expect(parseMetainfo(bytes).infoHash).toHaveLength(20),
  },
  'a handshake': {
    valid: [encodeHandshake(metainfo.infoHash, Buffer.alloc(20, 'p'))],
    refusals: ['PeerProtocol'],
    parse: (bytes) => {
      const reader = new HandshakeReader();
      const taken = reader.push(bytes);
      expect(taken).toBeLessThanOrEqual(68);
      expect(reader.result === undefined).toBe(taken < 68);
    },
  },
  'a handshake of the extension protocol': {
    valid: [
      encodeExtensionHandshake({
        client: 'somebody',
        listenPort: 6881,
        yourIp: Uint8Array.of(10, 0, 0, 1),
        uploadOnly: true,
        metadataBytes: 1000,
        ownAgent: true,
        exchangesPeers: true,
      }),
    ],
    refusals: ['InvalidBencode'],
    parse: (bytes) => {
      const said = parseExtensionHandshake(bytes);
      for (const id of said.ids.values()) expect(id >= 0 && id <= 255).toBe(true);
      expect(said.requestQueue ?? 1).toBeGreaterThanOrEqual(1);
      expect(said.listenPort ?? 1).toBeGreaterThanOrEqual(1);
      expect(said.listenPort ?? 1).toBeLessThanOrEqual(65535);
      expect(said.metadataBytes ?? 1).toBeGreaterThanOrEqual(1);
      expect((said.client ?? '').length).toBeLessThanOrEqual(64);
      if (said.yourIp !== undefined) expect(addressOfBytes(said.yourIp)).toBeDefined();
    },
  },
  'a message of ut_metadata': {
    valid: [encodeMetadataRequest(3), encodeMetadataData(0, metainfo.infoBytes)],
    refusals: ['InvalidBencode', 'PeerProtocol'],
    parse: (bytes) => {
      const message = parseMetadataMessage(bytes);
      if (message === undefined) return;
      expect(message.piece).toBeGreaterThanOrEqual(0);
      expect(message.piece * METADATA_PIECE_BYTES).toBeLessThan(MAX_METAINFO_BYTES);
    },
  },
  'a message of ut_pex': {
    valid: [encodePeerExchange({ added: addresses, dropped: addresses })],
    refusals: ['InvalidBencode'],
    parse: (bytes) => {
      const { added, dropped } = parsePeerExchange(bytes);
      expect(added.length).toBeLessThanOrEqual(MAX_EXCHANGED);
      expect(dropped.length).toBeLessThanOrEqual(2 * MAX_EXCHANGED);
      for (const { port } of [...added, ...dropped]) expect(port >= 0 && port <= 65535).toBe(true);
    },
  },
  "a tracker's reply": {
    valid: [
      encodeBencode({ interval: 60, peers: Buffer.alloc(12, 9), peers6: Buffer.alloc(18, 9) }),
      encodeBencode({ interval: 60, peers: [{ ip: '10.1.2.3', port: 6881 }] }),
    ],
    refusals: ['InvalidTrackerReply'],
    parse: (bytes) => {
      const reply = parseAnnounceReply(bytes);
      if (reply.kind === 'refusal') return;
      for (const { port } of reply.peers) expect(port >= 1 && port <= 65535).toBe(true);
    },
  },
  'a magnet link': {
    valid: [
      utf8(`magnet:?xt=urn:btih:${metainfo.infoHashHex}&dn=a%20b&tr=http%3A%2F%2Ft%2F&x.pe=10.0.0.1:1`),
      utf8('magnet:?xt=urn:btih:MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U&ws=http%3A%2F%2Fw'),
    ],
    refusals: ['InvalidMagnet', 'UnsupportedMetainfo'],
    parse: (bytes) => expect(parseMagnet(bytes.toString('latin1')).infoHash).toHaveLength(20),
  },
  'resume data': {
    valid: [
      encodeResume(metainfo, {
        have: new Bitfield(metainfo.pieceCount),
        stamps: [{ sizeBytes: 1, modifiedNanoseconds: 2n }, undefined],
      }),
    ],
    refusals: [],
    parse: (bytes) => {
      const read = decodeResume(metainfo, bytes);
      if (read !== undefined) expect(read.have.length).toBe(metainfo.pieceCount);
    },
  },
};

describe('near-valid input', () => {
  test.each(Object.entries(PARSERS))('%s', (_, { valid, refusals, parse }) => {
    // What it is derived from is right.
    for (const bytes of valid) parse(Buffer.from(bytes));
    fc.assert(
      fc.property(
        mutated(fc.constantFrom(...valid)),
        fc.constantFrom(...valid),
        fc.boolean(),
        (bytes, other, isDoubled) => {
          try {
            parse(isDoubled ? Buffer.concat([bytes, other]) : bytes);
          } catch (error) {
            if (!isTorrentError(error) || !refusals.includes(error.code)) throw error;
          }
        },
      ),
      fuzzParameters(RUNS),
    );
  });
});

/** A conversation of a peer that knows how messages look and not when they are right. */
const number = fc.oneof(
  fc.nat(5),
  fc.constantFrom(BLOCK, BLOCK + 1, 2 * BLOCK, 0x7fffffff, 0x80000000, 0xffffffff),
);
const names = [
  'choke',
  'unchoke',
  'interested',
  'notInterested',
  'haveAll',
  'haveNone',
  'keepAlive',
] as const;
const utterance: fc.Arbitrary<(writer: MessageWriter) => void> = fc.oneof(
  fc.constantFrom(...names).map((name) => (writer: MessageWriter) => writer[name]()),
  fc.tuple(fc.constantFrom('have', 'suggest', 'allowedFast'), number).map(
    ([name, piece]) =>
      (writer: MessageWriter) =>
        writer[name as 'have'](piece),
  ),
  fc
    .tuple(fc.constantFrom('request', 'cancel', 'reject'), number, number, number)
    .map(([name, piece, begin, length]) => (writer: MessageWriter) => {
      writer[name as 'request'](piece, begin, length);
    }),
  fc.tuple(number, fc.constantFrom(0, BLOCK, 7), fc.constantFrom(BLOCK, 1, BLOCK - 100)).map(
    ([piece, begin, length]) =>
      (writer: MessageWriter) =>
        writer.block(piece, begin, Buffer.alloc(length)),
  ),
  fc
    .uint8Array({ minLength: 1, maxLength: 1 })
    .map((bits) => (writer: MessageWriter) => writer.bitfield(bits)),
);

test('a swarm under messages of any kind, in any order and cut anywhere, drops their sender or goes on', () => {
  const step = fc.record({
    peer: fc.nat(2),
    says: fc.array(utterance, { minLength: 1, maxLength: 4 }),
    cut: fc.integer({ min: 1, max: 40 }),
    // Now and then a byte is another one: what follows is then cut into messages elsewhere.
    spoilt: fc.option(fc.nat(60), { freq: 12 }),
    next: fc.constantFrom('nothing', 'time', 'verify', 'corrupt', 'unwritten'),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.constantFrom('classic' as const, 'cluster' as const),
      fc.boolean(),
      (steps, policy, isSeed) => {
        const world = makeSwarm({ pieces: 6, policy, have: isSeed ? [0, 1, 2, 3, 4, 5] : [0, 5] });
        const { swarm } = world;
        const peers = [0, 1, 2].map((i) => {
          const peer = world.connect({ fast: i < 2, ownAgent: i === 0 });
          const { neighbour } = peer;
          const { handler } = recorder();
          const reader: MessageReader = new MessageReader(
            {
              ...handler,
              keepAlive: () => swarm.keepAlive(neighbour),
              choke: () => swarm.choke(neighbour),
              unchoke: () => swarm.unchoke(neighbour),
              interested: () => swarm.interested(neighbour),
              notInterested: () => swarm.notInterested(neighbour),
              have: (piece) => swarm.have(neighbour, piece),
              bitfield: (bytes) => swarm.bitfield(neighbour, bytes),
              haveAll: () => swarm.haveAll(neighbour),
              haveNone: () => swarm.haveNone(neighbour),
              request: (piece, begin, length) => swarm.request(neighbour, piece, begin, length),
              cancel: (piece, begin, length) => swarm.cancel(neighbour, piece, begin, length),
              reject: (piece, begin, length) => swarm.reject(neighbour, piece, begin, length),
              suggest: (piece) => swarm.suggest(neighbour, piece),
              allowedFast: (piece) => swarm.allowedFast(neighbour, piece),
              block: (piece, begin, _, __, length) => void swarm.block(neighbour, piece, begin, length),
            },
            { bitfieldBytes: 1, maxBlockBytes: BLOCK },
          );
          // As a connection does it: whoever is dropped is not heard any more, not even the rest of a chunk.
          const { link } = peer;
          const close = link.close.bind(link);
          link.close = (reason) => {
            reader.stop();
            close(reason);
          };
          return { ...peer, reader };
        });
        for (const { peer: index, says, cut, spoilt, next } of steps) {
          const peer = peers[index];
          if (peer === undefined || !peer.neighbour.connected) continue;
          const writer = new MessageWriter();
          for (const say of says) say(writer);
          const bytes = Buffer.concat(writer.take());
          if (spoilt !== null && spoilt < bytes.length) bytes[spoilt] = (bytes[spoilt] ?? 0) ^ 0x11;
          try {
            for (let at = 0; at < bytes.length && peer.neighbour.connected; at += cut) {
              peer.reader.push(bytes.subarray(at, at + cut));
            }
          } catch (error) {
            if (!isTorrentError(error, 'PeerProtocol')) throw error;
            swarm.drop(peer.neighbour, error.message);
          }
          swarm.settle();
          if (next === 'time') world.pass(1000);
          for (const piece of world.received.splice(0)) {
            if (next === 'corrupt') swarm.pieceCorrupt(piece, ['x', 'y']);
            else if (next === 'unwritten') swarm.pieceUnwritten(piece);
            else swarm.pieceVerified(piece);
          }
        }
        // Whoever misbehaved, an honest seed still makes it complete.
        const honest = world.connect({ pieces: 'all' });
        if (swarm.isComplete) return;
        swarm.unchoke(honest.neighbour);
        for (let rounds = 0; rounds < 400 && !swarm.isComplete; rounds++) {
          if (honest.link.wanted.length > 0) world.answer(honest);
          else {
            world.pass(1000);
            for (const { neighbour } of peers)
              if (neighbour.connected) swarm.heard(neighbour, world.clock.time);
            if (honest.neighbour.connected) swarm.heard(honest.neighbour, world.clock.time);
          }
          for (const piece of world.received.splice(0)) swarm.pieceVerified(piece);
        }
        if (!swarm.isComplete) throw new Error('the honest seed did not make it complete');
      },
    ),
    fuzzParameters(6000),
  );
});
