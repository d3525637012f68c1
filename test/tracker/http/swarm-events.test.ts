import { afterEach, expect, test } from '@jest/globals';
import { SwarmChanges } from '../../../tracker/http/swarm-events.ts';
import { compactHost } from '../../../tracker/swarms/peer-address.ts';
import { SwarmRegistry } from '../../../tracker/swarms/registry.ts';
import { OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../../tracker/tracker.ts';
import { announceQuery } from '../announce-query.ts';
import { collectedLog } from '../collected-log.ts';
import { seededRandom } from '../seeded-random.ts';

const A = 'aa'.repeat(20);
let tracker: RunningTracker | undefined;
afterEach(() => tracker?.close());

test('tells a swarm when its counts change, and when it is gone', () => {
  const registry = new SwarmRegistry({ now: 0, random: seededRandom(1) });
  const changes = new SwarmChanges(registry);
  const look = () => changes.look().map((event) => JSON.parse(event) as Record<string, unknown>);
  const announce = (leftBytes: number) => {
    const compact = compactHost('192.0.2.1');
    if (compact === undefined) throw new Error('no address');
    const counts = { uploadedBytes: 0, downloadedBytes: 0, leftBytes };
    const more = { key: 0, node: undefined, zone: undefined, isOwn: true };
    registry.announce(A, { compact, peerId: Buffer.alloc(20), ...counts, ...more }, 'none', 0, 1e9);
  };
  expect(look()).toEqual([]);
  announce(5);
  expect(look()).toEqual([{ infoHash: A, seeders: 0, leechers: 1, partialSeeds: 0, completed: 0 }]);
  announce(4);
  expect(look()).toEqual([]);
  announce(0);
  expect(look()).toMatchObject([{ seeders: 1, leechers: 0 }]);
  expect(changes.all()).toHaveLength(1);
  registry.drop(A);
  expect(look()).toMatchObject([{ infoHash: A, seeders: 0, leechers: 0 }]);
  expect(look()).toEqual([]);
});

test('a page hears of swarms until the tracker ends', async () => {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
  });
  const base = `http://127.0.0.1:${tracker.port}`;
  await fetch(`${base}/announce?${announceQuery({ port: 1 })}`);
  const response = await fetch(`${base}/swarms/events`);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const until = async (part: string) => {
    while (!text.includes(part)) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done) return;
      text += value;
    }
  };
  await until('"leechers":1');
  await fetch(`${base}/announce?${announceQuery({ port: 2, left: 0 })}`);
  await until('"seeders":1,"leechers":1');
  expect(text).toContain(`event: swarm\ndata: {"infoHash":"${A}","seeders":1,"leechers":1`);
  await tracker.close();
  tracker = undefined;
  expect((await reader?.read())?.done).toBe(true);
});
