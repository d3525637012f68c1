// Reader and writer against each other, and the reader against everything else.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MessageReader } from '../../../torrent/wire/message-reader.ts';
import { MessageWriter } from '../../../torrent/wire/message-writer.ts';
import { BLOCK_BYTES, MAX_EXTENDED_BYTES } from '../../../torrent/wire/messages.ts';
import { failureOf } from '../failure.ts';
import { fuzzParameters } from '../fuzz.ts';
import { recorder } from './recorder.ts';

const bounds = { bitfieldBytes: 3, maxBlockBytes: BLOCK_BYTES };

type Say = (writer: MessageWriter) => void;

const uint32 = fc.integer({ min: 0, max: 0xffffffff });

/** A message as the writer makes it, and as the reader must report it. */
const message: fc.Arbitrary<{ say: Say; expected: string }> = fc.oneof(
  ...(['choke', 'unchoke', 'interested', 'notInterested', 'haveAll', 'haveNone', 'keepAlive'] as const).map(
    (name) => fc.constant({ say: ((writer) => writer[name]()) as Say, expected: name }),
  ),
  ...(['have', 'suggest', 'allowedFast'] as const).map((name) =>
    uint32.map((piece) => ({
      say: (writer: MessageWriter) => writer[name](piece),
      expected: `${name} ${piece}`,
    })),
  ),
  ...(['request', 'cancel', 'reject'] as const).map((name) =>
    fc.tuple(uint32, uint32, uint32).map(([piece, begin, length]) => ({
      say: (writer: MessageWriter) => writer[name](piece, begin, length),
      expected: `${name} ${piece} ${begin} ${length}`,
    })),
  ),
  fc.uint8Array({ minLength: 3, maxLength: 3 }).map((bits) => ({
    say: (writer: MessageWriter) => writer.bitfield(bits),
    expected: `bitfield ${Buffer.from(bits).toString('hex')}`,
  })),
  fc.tuple(uint32, uint32, fc.uint8Array({ minLength: 1, maxLength: 300 })).map(([piece, begin, data]) => ({
    say: (writer: MessageWriter) => writer.block(piece, begin, data),
    expected: `block ${piece} ${begin} ${Buffer.from(data).toString('hex')}`,
  })),
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 })).map(([id, payload]) => ({
    say: (writer: MessageWriter) => writer.extended(id, payload),
    expected: `extended ${id} ${Buffer.from(payload).toString('hex')}`,
  })),
);

/** Feeds bytes in chunks of the given sizes, in turn; each chunk's memory is spoilt afterwards. */
function feed(reader: MessageReader, bytes: Buffer, sizes: readonly number[]): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const chunk = Buffer.from(bytes.subarray(at, at + (sizes[i % sizes.length] as number)));
    reader.push(chunk);
    at += chunk.length;
    chunk.fill(0xee);
  }
}

test('what the writer says the reader hears, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 40, size: 'max' }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }),
      (messages, sizes) => {
        const writer = new MessageWriter();
        for (const { say } of messages) say(writer);
        const size = writer.bytes;
        const bytes = Buffer.concat(writer.take());
        expect(bytes.length).toBe(size);
        expect(writer.take()).toEqual([]);
        const { handler, heard } = recorder();
        feed(new MessageReader(handler, bounds), bytes, sizes);
        expect(heard).toEqual(messages.map(({ expected }) => expected));
      },
    ),
    fuzzParameters(300),
  );
});

test('full blocks cut at every place of their header arrive whole', () => {
  const block = Buffer.from(Array.from({ length: BLOCK_BYTES }, (_, i) => i * 7));
  const writer = new MessageWriter();
  for (let i = 0; i < 3; i++) writer.block(i, i * BLOCK_BYTES, block);
  const bytes = Buffer.concat(writer.take());
  for (let cut = 1; cut < 20; cut++) {
    const { handler, heard } = recorder();
    feed(new MessageReader(handler, bounds), bytes, [cut, BLOCK_BYTES + 13]);
    expect(heard).toEqual([0, 1, 2].map((i) => `block ${i} ${i * BLOCK_BYTES} ${block.toString('hex')}`));
  }
});

test('chunks that were taken are never written to again', () => {
  const writer = new MessageWriter();
  const taken: { chunk: Uint8Array; copy: Buffer }[] = [];
  for (let i = 0; i < 5000; i++) {
    writer.request(i, i, i);
    if (i % 3 === 0) for (const chunk of writer.take()) taken.push({ chunk, copy: Buffer.from(chunk) });
  }
  for (const { chunk, copy } of taken) expect(copy.equals(chunk)).toBe(true);
});

function bytesOf(length: number, ...body: number[]): Buffer {
  const bytes = Buffer.alloc(4 + body.length);
  bytes.writeUInt32BE(length);
  bytes.set(body, 4);
  return bytes;
}

describe('bad input ends in a protocol error at its fifth byte', () => {
  test.each([
    ['a length prefix of 4 GiB', bytesOf(0xffffffff, 7)],
    ['a length prefix of 4 GiB on an unknown message', bytesOf(0xffffffff, 99)],
    ['a choke with a body', bytesOf(2, 0)],
    ['a have of 4 bytes', bytesOf(4, 4)],
    ['a have of 6 bytes', bytesOf(6, 4)],
    ['a bitfield too short', bytesOf(3, 5)],
    ['a bitfield too long', bytesOf(5, 5)],
    ['a request too short', bytesOf(12, 6)],
    ['a cancel too long', bytesOf(14, 8)],
    ['a piece without a block', bytesOf(9, 7)],
    ['a piece of more than a block', bytesOf(9 + BLOCK_BYTES + 1, 7)],
    ['a port of 1 byte', bytesOf(2, 9)],
    ['have all with a body', bytesOf(2, 14)],
    ['a suggestion too long', bytesOf(9, 13)],
    ['a reject too short', bytesOf(5, 16)],
    ['allowed fast too short', bytesOf(1, 17)],
    ['an extended message without its id', bytesOf(1, 20)],
    ['an extended message too long', bytesOf(MAX_EXTENDED_BYTES + 1, 20)],
  ])('%s', (_name, bytes) => {
    const whole = recorder();
    expect(failureOf(() => new MessageReader(whole.handler, bounds).push(bytes)).code).toBe('PeerProtocol');
    const split = recorder();
    const reader = new MessageReader(split.handler, bounds);
    expect(failureOf(() => feed(reader, bytes, [1])).code).toBe('PeerProtocol');
    expect([...whole.heard, ...split.heard]).toEqual([]);
  });
});

test('messages of unknown kinds are skipped', () => {
  const { handler, heard } = recorder();
  const reader = new MessageReader(handler, bounds);
  feed(reader, Buffer.concat([bytesOf(4, 99, 1, 2, 3), bytesOf(3, 9, 0x1a, 0xe1), bytesOf(1, 1)]), [2, 3]);
  expect(heard).toEqual(['unchoke']);
});

test('a stopped reader hands nothing out, not even of the chunk in hand', () => {
  const { handler, heard } = recorder();
  const reader: MessageReader = new MessageReader({ ...handler, choke: () => reader.stop() }, bounds);
  reader.push(Buffer.concat([bytesOf(1, 1), bytesOf(1, 0), bytesOf(1, 1)]));
  reader.push(bytesOf(1, 1));
  expect(heard).toEqual(['unchoke']);
});

test('rubbish never does anything but report messages or end in a protocol error', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000, size: 'max' }),
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }),
      (bytes, sizes) => {
        const { handler } = recorder();
        try {
          feed(new MessageReader(handler, bounds), Buffer.from(bytes), sizes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'PeerProtocol' });
        }
      },
    ),
    fuzzParameters(500),
  );
});
