// Reader and writer against each other, and the reader against everything else.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MessageReader } from '../../../torrent/wire/message-reader.ts';
import { MessageWriter } from '../../../torrent/wire/message-writer.ts';
import { failureOf } from '../failure.ts';
import { fuzzParameters } from '../fuzz.ts';
import { recorder } from './recorder.ts';

// Written out, so that a changed number is noticed.
const BLOCK_BYTES = 16_384;
const MAX_RUN_BYTES = 131_072;
const MAX_EXTENDED_BYTES = 65_536;
const MAX_UNKNOWN_BYTES = 65_536;

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

describe('each message as the BEPs have it', () => {
  test.each<[string, Say, string, string]>([
    ['keep-alive', (writer) => writer.keepAlive(), '00000000', 'keepAlive'],
    ['choke', (writer) => writer.choke(), '0000000100', 'choke'],
    ['unchoke', (writer) => writer.unchoke(), '0000000101', 'unchoke'],
    ['interested', (writer) => writer.interested(), '0000000102', 'interested'],
    ['not interested', (writer) => writer.notInterested(), '0000000103', 'notInterested'],
    ['have', (writer) => writer.have(0x102), '000000050400000102', 'have 258'],
    [
      'bitfield',
      (writer) => writer.bitfield(Buffer.from('a1b2c3', 'hex')),
      '0000000405a1b2c3',
      'bitfield a1b2c3',
    ],
    [
      'request',
      (writer) => writer.request(1, 0x4000, 0x4000),
      '0000000d06000000010000400000004000',
      'request 1 16384 16384',
    ],
    [
      'piece',
      (writer) => writer.block(1, 0x4000, Buffer.from([9])),
      '0000000a07000000010000400009',
      'block 1 16384 09',
    ],
    [
      'cancel',
      (writer) => writer.cancel(1, 0x4000, 0x4000),
      '0000000d08000000010000400000004000',
      'cancel 1 16384 16384',
    ],
    ['suggest', (writer) => writer.suggest(2), '000000050d00000002', 'suggest 2'],
    ['have all', (writer) => writer.haveAll(), '000000010e', 'haveAll'],
    ['have none', (writer) => writer.haveNone(), '000000010f', 'haveNone'],
    [
      'reject',
      (writer) => writer.reject(1, 0x4000, 0x4000),
      '0000000d10000000010000400000004000',
      'reject 1 16384 16384',
    ],
    ['allowed fast', (writer) => writer.allowedFast(2), '000000051100000002', 'allowedFast 2'],
    [
      'extended',
      (writer) => writer.extended(3, Buffer.from('de', 'latin1')),
      '0000000414036465',
      'extended 3 6465',
    ],
  ])('%s', (_, say, bytes, expected) => {
    const writer = new MessageWriter();
    say(writer);
    expect(Buffer.concat(writer.take()).toString('hex')).toBe(bytes);
    const { handler, heard } = recorder();
    new MessageReader(handler, bounds).push(Buffer.from(bytes, 'hex'));
    expect(heard).toEqual([expected]);
  });
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

describe('runs of blocks', () => {
  const RUNS = { ...bounds, maxBlockBytes: MAX_RUN_BYTES };
  const content = Buffer.from(Array.from({ length: 20 * BLOCK_BYTES }, (_, i) => (i * 7) ^ (i >> 9)));
  const blockAt = (place: number, length = BLOCK_BYTES) =>
    content.subarray(place * BLOCK_BYTES, place * BLOCK_BYTES + length);

  /** A writer whose peer takes runs, and how many messages of a kind it made. */
  function written(
    say: Say,
    mostBytes = MAX_RUN_BYTES,
  ): { bytes: Buffer; lengths: number[]; chunks: number } {
    const writer = new MessageWriter();
    writer.takeRuns(mostBytes);
    say(writer);
    const size = writer.bytes;
    const chunks = writer.take();
    const bytes = Buffer.concat(chunks);
    expect(bytes.length).toBe(size);
    const lengths: number[] = [];
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at))
      lengths.push(bytes.readUInt32BE(at));
    return { bytes, lengths, chunks: chunks.length };
  }

  test('consecutive blocks of one piece leave as one message, and few chunks', () => {
    const { lengths, chunks } = written((writer) => {
      for (let place = 0; place < 8; place++) writer.block(3, place * BLOCK_BYTES, blockAt(place));
    });
    expect(lengths).toEqual([9 + MAX_RUN_BYTES]);
    expect(chunks).toBe(2);
  });

  test('consecutive requests of one piece leave as one message', () => {
    const { bytes, lengths } = written((writer) => {
      for (let place = 0; place < 10; place++) writer.request(3, place * BLOCK_BYTES, BLOCK_BYTES);
    });
    expect(lengths).toEqual([13, 13]);
    const { handler, heard } = recorder();
    feed(new MessageReader(handler, RUNS), bytes, [7]);
    expect(heard).toEqual([
      `request 3 0 ${MAX_RUN_BYTES}`,
      `request 3 ${8 * BLOCK_BYTES} ${2 * BLOCK_BYTES}`,
    ]);
  });

  test('a peer that takes none gets single blocks, whatever others do', () => {
    const say: Say = (writer) => {
      for (let place = 0; place < 3; place++) writer.request(3, place * BLOCK_BYTES, BLOCK_BYTES);
      for (let place = 0; place < 3; place++) writer.block(3, place * BLOCK_BYTES, blockAt(place));
    };
    const single = [13, 13, 13, ...Array.from({ length: 3 }, () => 9 + BLOCK_BYTES)];
    expect(written(say, 0).lengths).toEqual(single);
    expect(written(say).lengths).toEqual([13, 9 + 3 * BLOCK_BYTES]);
  });

  test.each<[string, Say, number]>([
    [
      'another message is said in between',
      (writer) => {
        writer.request(3, 0, BLOCK_BYTES);
        writer.have(1);
        writer.request(3, BLOCK_BYTES, BLOCK_BYTES);
      },
      3,
    ],
    [
      'the first has left already',
      (writer) => {
        writer.request(3, 0, BLOCK_BYTES);
        writer.take();
        writer.request(3, BLOCK_BYTES, BLOCK_BYTES);
      },
      1,
    ],
    [
      'the piece is another one',
      (writer) => {
        writer.request(3, 0, BLOCK_BYTES);
        writer.request(4, BLOCK_BYTES, BLOCK_BYTES);
      },
      2,
    ],
    [
      'a block is left out',
      (writer) => {
        writer.block(3, 0, blockAt(0));
        writer.block(3, 2 * BLOCK_BYTES, blockAt(2));
      },
      2,
    ],
    [
      'the one before is short',
      (writer) => {
        writer.block(3, 0, blockAt(0, 100));
        writer.block(3, 100, blockAt(1));
      },
      2,
    ],
  ])('no run where %s', (_, say, messages) => {
    const writer = new MessageWriter();
    writer.takeRuns(MAX_RUN_BYTES);
    say(writer);
    const bytes = Buffer.concat(writer.take());
    let count = 0;
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) count++;
    expect(count).toBe(messages);
  });

  test('arrive block by block, whole, however the bytes are cut', () => {
    const place = fc.record({
      piece: fc.nat({ max: 1 }),
      place: fc.nat({ max: 19 }),
      blocks: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(
        fc.array(place, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.integer({ min: 1, max: BLOCK_BYTES }),
        fc.array(fc.integer({ min: 1, max: 3 * BLOCK_BYTES }), { minLength: 1, maxLength: 8 }),
        (runs, isScattered, lastBytes, sizes) => {
          const expected: string[] = [];
          const { bytes } = written((writer) => {
            for (const { piece, place, blocks } of runs) {
              for (let i = place; i < Math.min(20, place + blocks); i++) {
                const view = blockAt(i, i === 19 ? lastBytes : BLOCK_BYTES);
                const block = isScattered ? Buffer.from(view) : view;
                writer.block(piece, i * BLOCK_BYTES, block);
                expected.push(`block ${piece} ${i * BLOCK_BYTES} ${block.toString('hex')}`);
              }
            }
            writer.choke();
          });
          const { handler, heard } = recorder();
          feed(new MessageReader(handler, RUNS), bytes, sizes);
          expect(heard.length).toBe(expected.length + 1);
          expect(heard.every((words, i) => words === (expected[i] ?? 'choke'))).toBe(true);
        },
      ),
      fuzzParameters(60),
    );
  });

  test('cut at every place of their head arrive whole', () => {
    const { bytes } = written((writer) => {
      for (let place = 0; place < 3; place++) writer.block(0, place * BLOCK_BYTES, blockAt(place));
    });
    for (let cut = 1; cut < 20; cut++) {
      const { handler, heard } = recorder();
      feed(new MessageReader(handler, RUNS), bytes, [cut, BLOCK_BYTES + 13]);
      expect(heard).toEqual(
        [0, 1, 2].map((place) => `block 0 ${place * BLOCK_BYTES} ${blockAt(place).toString('hex')}`),
      );
    }
  });

  test('are refused of a peer that never said it would send any, and beyond their bound', () => {
    const head = bytesOf(9 + 2 * BLOCK_BYTES, 7);
    const reader = new MessageReader(recorder().handler, bounds);
    expect(failureOf(() => reader.push(head)).code).toBe('PeerProtocol');
    const allowed = new MessageReader(recorder().handler, bounds);
    allowed.takeRuns(MAX_RUN_BYTES);
    allowed.push(head);
    const beyond = new MessageReader(recorder().handler, RUNS);
    expect(failureOf(() => beyond.push(bytesOf(10 + MAX_RUN_BYTES, 7))).code).toBe('PeerProtocol');
  });

  test('end where the reader is stopped', () => {
    const { bytes } = written((writer) => {
      for (let place = 0; place < 4; place++) writer.block(0, place * BLOCK_BYTES, blockAt(place));
    });
    const { handler, heard } = recorder();
    const reader: MessageReader = new MessageReader(
      {
        ...handler,
        block: (...values) => {
          handler.block(...values);
          reader.stop();
        },
      },
      RUNS,
    );
    reader.push(bytes);
    reader.push(bytes);
    expect(heard.length).toBe(1);
  });
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
    ['an unknown message too long', bytesOf(MAX_UNKNOWN_BYTES + 1, 99)],
  ])('%s', (_name, bytes) => {
    const whole = recorder();
    expect(failureOf(() => new MessageReader(whole.handler, bounds).push(bytes)).code).toBe('PeerProtocol');
    const split = recorder();
    const reader = new MessageReader(split.handler, bounds);
    expect(failureOf(() => feed(reader, bytes, [1])).code).toBe('PeerProtocol');
    expect([...whole.heard, ...split.heard]).toEqual([]);
  });
});

test('messages of unknown kinds are skipped, up to 64 KiB; extended ones are heard up to as much', () => {
  const { handler, heard } = recorder();
  const reader = new MessageReader(handler, bounds);
  const rest = Buffer.alloc(MAX_UNKNOWN_BYTES - 1);
  reader.push(Buffer.concat([bytesOf(MAX_UNKNOWN_BYTES, 99), rest, bytesOf(1, 1)]));
  expect(heard).toEqual(['unchoke']);
  reader.push(Buffer.concat([bytesOf(MAX_EXTENDED_BYTES, 20), rest]));
  expect(heard).toHaveLength(2);
});

test('messages of unknown kinds are skipped, however they are cut', () => {
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
