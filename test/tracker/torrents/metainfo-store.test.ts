import { expect, test } from '@jest/globals';
import { TrackerError } from '../../../tracker/errors.ts';
import { compactHost } from '../../../tracker/swarms/peer-address.ts';
import { SwarmRegistry } from '../../../tracker/swarms/registry.ts';
import type { AskHolder } from '../../../tracker/torrents/holder.ts';
import { MetainfoStore } from '../../../tracker/torrents/metainfo-store.ts';
import { MutableTorrentList } from '../../../tracker/torrents/torrents.ts';
import { collectedLog } from '../collected-log.ts';
import { seededRandom } from '../seeded-random.ts';
import { torrentFile } from '../torrent-bytes.ts';

const ONE = torrentFile('one');

/** A store whose list has the torrent ONE, and holders that answer as `holders` says. */
function storeWith(holders: Record<string, Buffer | 'fails' | 'hangs'>) {
  const torrents = new MutableTorrentList();
  torrents.add('test', { infoHashHex: ONE.infoHashHex });
  const registry = new SwarmRegistry({ now: 0, random: seededRandom(3) });
  const asked: string[] = [];
  const askHolder: AskHolder = (host, _, signal) => {
    asked.push(host);
    const answer = holders[host];
    if (answer instanceof Buffer) return Promise.resolve(answer);
    if (answer !== 'hangs') return Promise.reject(new TrackerError('HolderFailed', 'it failed'));
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  };
  const clock = { now: 0 };
  const logger = collectedLog();
  const store = new MetainfoStore({ torrents, registry, askHolder, logger, now: () => clock.now });
  const join = (host: string) => {
    const compact = compactHost(host);
    if (compact === undefined) throw new Error('no address');
    const counts = { uploadedBytes: 0, downloadedBytes: 0, leftBytes: 0, isOwn: true };
    const report = { compact, peerId: Buffer.alloc(20), key: 0, ...counts, node: undefined, zone: undefined };
    registry.announce(ONE.infoHashHex, report, 'none', 0, 1e9);
  };
  return { store, torrents, registry, asked, clock, join, logger };
}

test('takes it from a holder once, and keeps it', async () => {
  const { store, asked, join } = storeWith({ '10.0.0.1': ONE.bytes });
  join('10.0.0.1');
  const [first, second] = await Promise.all([store.get(ONE.infoHashHex), store.get(ONE.infoHashHex)]);
  expect(first?.bytes).toEqual(ONE.bytes);
  expect(second).toBe(first);
  expect(first?.etag).toMatch(/^"[0-9a-f]{32}"$/);
  expect(await store.get(ONE.infoHashHex)).toBe(first);
  expect(asked).toEqual(['10.0.0.1']);
  expect(store.cachedBytes).toBe(ONE.bytes.length);
});

test('passes over holders that fail, lie or send rubbish', async () => {
  const { store, asked, join, logger } = storeWith({
    '10.0.0.1': 'fails',
    '10.0.0.2': torrentFile('another').bytes,
    '10.0.0.3': Buffer.from('rubbish'),
    '10.0.0.4': ONE.bytes,
  });
  for (let number = 1; number <= 4; number += 1) join(`10.0.0.${number}`);
  expect((await store.get(ONE.infoHashHex))?.bytes).toEqual(ONE.bytes);
  expect(asked.length).toBeGreaterThan(0);
  expect(logger.lines).toHaveLength(asked.length - 1);
});

test('nothing is handed out where all holders lie', async () => {
  const { store, asked, join } = storeWith({ '10.0.0.2': torrentFile('another').bytes });
  join('10.0.0.2');
  expect(await store.get(ONE.infoHashHex)).toBeUndefined();
  expect(asked).toHaveLength(1);
  expect(store.cachedBytes).toBe(0);
});

test('finding nothing is remembered for a moment only', async () => {
  const { store, asked, clock, join } = storeWith({ '10.0.0.9': 'fails' });
  join('10.0.0.9');
  await store.get(ONE.infoHashHex);
  await store.get(ONE.infoHashHex);
  expect(asked).toHaveLength(1);
  clock.now = 1_000;
  await store.get(ONE.infoHashHex);
  expect(asked).toHaveLength(2);
});

test('finding nothing is not remembered beyond the first seed', async () => {
  const { store, join } = storeWith({ '10.0.0.1': ONE.bytes });
  expect(await store.get(ONE.infoHashHex)).toBeUndefined();
  join('10.0.0.1');
  expect((await store.get(ONE.infoHashHex))?.bytes).toEqual(ONE.bytes);
});

test('a torrent that left the list meanwhile is not kept', async () => {
  const { store, torrents, join } = storeWith({ '10.0.0.1': ONE.bytes });
  join('10.0.0.1');
  const search = store.get(ONE.infoHashHex);
  torrents.remove('test', ONE.infoHashHex);
  await search;
  expect(store.cachedBytes).toBe(0);
});

test('closing breaks off a search', async () => {
  const { store, join } = storeWith({ '10.0.0.1': 'hangs' });
  join('10.0.0.1');
  const search = store.get(ONE.infoHashHex);
  await new Promise(setImmediate);
  store.close();
  expect(await search).toBeUndefined();
});
