// Downloads for which memory is short: long pieces of many peers wait on disk, and all complete.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Bitfield } from '../../../../torrent/bitfield.ts';
import { MemoryLedger, MIN_MEMORY_BYTES } from '../../../../torrent/memory-ledger.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import { openStorage } from '../../../../torrent/storage/open-storage.ts';
import { until } from '../../../base/until.ts';
import { makeFolder, makeTorrent } from '../../storage/content.ts';
import { addressOf, afterwards, closeAll, completion, startSession } from '../harness.ts';

const MIB = 1024 * 1024;
const LENGTH = 8 * MIB;
const PIECES = 6;
const { metainfo, content } = makeTorrent([{ path: 'content', length: PIECES * LENGTH }], {
  pieceLength: LENGTH,
});

afterEach(closeAll);

/** A ledger that keeps so many of the pieces in memory. */
function ledgerFor(pieces: number): MemoryLedger {
  const ledger = new MemoryLedger(MIN_MEMORY_BYTES);
  ledger.pieces.limitBytes = pieces * LENGTH;
  return ledger;
}

/** Downloads from peers of which each has one piece. Returns the most pieces that were on their way at a time. */
async function downloadOfMany(ledger: MemoryLedger, policy: 'classic' | 'cluster'): Promise<void> {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  const storage = await openStorage({ metainfo, root: join(folder, 'root') });
  afterwards(() => storage.close());
  const session = await startSession({ memory: ledger });
  const torrent = session.add({ metainfo, storage, policy, discovery: [] });
  for (let piece = 0; piece < PIECES; piece++) {
    const giver = await startSession();
    const given = new MemoryStorage(metainfo, content);
    given.have.clear(0);
    for (let other = 0; other < PIECES; other++) if (other !== piece) given.have.clear(other);
    given.have.set(piece);
    giver.add({ metainfo, storage: given, policy, discovery: [], losses: 'withdraw' });
    torrent.addPeers([addressOf(giver)]);
  }
  await until(
    'all are asked',
    () => torrent.peers().filter((peer) => peer.requestsOutstanding > 0).length > 3,
  );
  await completion(torrent, 60);
  await storage.finalize();
  expect(readFileSync(join(folder, 'root', 'content')).equals(content)).toBe(true);
  await session.remove(metainfo.infoHashHex);
}

test.each([
  [0, 'cluster'],
  [1, 'classic'],
  [2, 'cluster'],
] as const)(
  'six peers with a long piece each, where memory holds %d of them (%s)',
  async (pieces, policy) => {
    const ledger = ledgerFor(pieces);
    await downloadOfMany(ledger, policy);
    expect([ledger.pieces.usedBytes, ledger.staging.usedBytes]).toEqual([0, 0]);
  },
);

test('a piece that fails its hash while it is staged costs whoever gave it the connection', async () => {
  const bad = Buffer.from(content);
  bad[LENGTH + 5] = (bad[LENGTH + 5] as number) ^ 1;
  const liar = await startSession();
  const wrong = new MemoryStorage(metainfo, bad);
  liar.add({ metainfo, storage: wrong, policy: 'cluster', discovery: [] });
  const session = await startSession({ memory: ledgerFor(0) });
  const storage = new MemoryStorage(metainfo);
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
  torrent.addPeers([addressOf(liar)]);
  await until('the liar is gone', () => torrent.progress().wastedBytes > 0 && torrent.progress().peers === 0);
  const honest = await startSession({ listen: { host: '127.0.0.2' } });
  honest.add({ metainfo, storage: new MemoryStorage(metainfo, content), policy: 'cluster', discovery: [] });
  torrent.addPeers([addressOf(honest, '127.0.0.2')]);
  await completion(torrent, 60);
  expect(storage.content.equals(content)).toBe(true);
  expect(Bitfield.full(PIECES)).toEqual(storage.have);
});
