import { expect, test } from '@jest/globals';
import { SwarmProgressBook, type SwarmReport } from '../../../operator/progress/swarm-progress.ts';
import { rankReplicas } from '../../../torrent/index.ts';
import { infoHash } from '../objects.ts';

const swarm = infoHash('a');
const report = (downloadedBytes: number, rest: Partial<SwarmReport> = {}): SwarmReport => ({
  infoHash: swarm,
  seeders: 1,
  leechers: 2,
  peers: 3,
  bytesLeft: 1_000_000 - downloadedBytes,
  downloadedBytes,
  slowest: [],
  ...rest,
});

test('the rate is that of the last 20 s', () => {
  const book = new SwarmProgressBook();
  for (let second = 0; second <= 60; second += 2)
    book.record(
      new Map([['a', [report(second <= 30 ? second * 100 : 3000 + (second - 30) * 1000)]]]),
      second * 1000,
    );
  expect(book.get(swarm)?.bytesPerSecond).toBe(1000);
});

test('it knows since when nothing has moved', () => {
  const book = new SwarmProgressBook();
  book.record(new Map([['a', [report(10)]]]), 0);
  book.record(new Map([['a', [report(20)]]]), 2000);
  for (let time = 4000; time <= 50_000; time += 2000) book.record(new Map([['a', [report(20)]]]), time);
  expect(book.get(swarm)).toMatchObject({ stillSince: 2000, bytesPerSecond: 0 });
});

test('of two trackers the first by rank counts, if it knows anybody', () => {
  const names = ['enxame-tracker-0', 'enxame-tracker-1'];
  const [owner, other] = rankReplicas(swarm, names) as [string, string];
  const leechersOf = (ofOwner: SwarmReport, ofOther: SwarmReport) =>
    [[owner, ofOwner] as const, [other, ofOther] as const].flatMap((pair, _, pairs) => {
      const book = new SwarmProgressBook();
      const order = pair === pairs[0] ? pairs : pairs.toReversed();
      book.record(new Map(order.map(([name, from]) => [name, [from]])), 0);
      return book.get(swarm)?.leechers ?? Number.NaN;
    });
  const few = report(10, { peers: 2, leechers: 1 });
  const many = report(500, { peers: 9, leechers: 8 });
  expect(leechersOf(few, many)).toEqual([1, 1]);
  expect(leechersOf(many, few)).toEqual([8, 8]);
  expect(leechersOf(report(0, { peers: 0, leechers: 0 }), many)).toEqual([8, 8]);
});

test('a tracker that began anew gives no negative rate', () => {
  const book = new SwarmProgressBook();
  book.record(new Map([['a', [report(900_000)]]]), 0);
  book.record(new Map([['a', [report(10)]]]), 2000);
  expect(book.get(swarm)?.bytesPerSecond).toBe(0);
  book.record(new Map([['a', [report(2010)]]]), 4000);
  expect(book.get(swarm)?.bytesPerSecond).toBe(1000);
});

test('a swarm that nobody tells of is forgotten', () => {
  const book = new SwarmProgressBook();
  book.record(new Map([['a', [report(10)]]]), 0);
  book.record(new Map([['a', []]]), 30_000);
  expect(book.get(swarm)).toBeDefined();
  book.record(new Map([['a', []]]), 61_000);
  expect(book.get(swarm)).toBeUndefined();
});
