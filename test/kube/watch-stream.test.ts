import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { lines, watchEvents } from '../../kube/watch-stream.ts';

async function* inChunks(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array, void> {
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  let from = 0;
  for (const end of ends) {
    if (end > from) yield bytes.subarray(from, end);
    from = Math.max(from, end);
  }
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const eventsOf = (text: string) => collect(watchEvents<object>(inChunks(bytesOf(text), [])));

describe('lines', () => {
  test('are the same however the bytes are cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', ' '))),
        fc.array(fc.nat()),
        async (texts, cuts) => {
          const got = await collect(lines(inChunks(bytesOf(texts.join('\n')), cuts), 1_000_000));
          expect(got.map(String)).toEqual(texts.filter((line) => line !== ''));
        },
      ),
    );
  });

  test('end with an error when one grows beyond all bounds', async () => {
    const endless = async function* () {
      for (;;) yield new Uint8Array(1000).fill(0x61);
    };
    await expect(collect(lines(endless(), 10_000))).rejects.toThrow(/more than 10000 bytes/);
  });
});

describe('the events of a watch', () => {
  test('carry objects, and bookmarks a version', async () => {
    const events = await eventsOf(
      '{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n' +
        '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"12"}}}\n' +
        '{"type":"DELETED","object":{"metadata":{"name":"a"}}}\n',
    );
    expect(events).toEqual([
      { type: 'ADDED', object: { metadata: { name: 'a' } } },
      { type: 'BOOKMARK', resourceVersion: '12' },
      { type: 'DELETED', object: { metadata: { name: 'a' } } },
    ]);
  });

  test('end with the error that the server tells of', async () => {
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
    const text = `${JSON.stringify({ type: 'ERROR', object: status })}\n`;
    await expect(eventsOf(text)).rejects.toMatchObject({ code: 410, reason: 'Expired' });
  });

  test.each([
    ['half a line, where the connection was cut', '{"type":"ADDED","obj'],
    ['something that is no object', '17\n'],
    ['an event that there is not', '{"type":"RENAMED","object":{}}\n'],
  ])('end with an error at %s', async (_, text) => {
    await expect(eventsOf(text)).rejects.toMatchObject({ reason: 'InvalidAnswer' });
  });
});
