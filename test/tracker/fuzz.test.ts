// Both protocols under requests that are nearly right. ENXAME_FUZZ_REQUESTS asks for more of them than CI has time
// for; ENXAME_FUZZ_SEED repeats a run.
import { expect, test } from '@jest/globals';
import { NO_CREDENTIALS } from '../../tracker/rights/rights.ts';
import { compactHost } from '../../tracker/swarms/peer-address.ts';
import { UdpTracker } from '../../tracker/udp/udp-tracker.ts';
import { announceQuery, escapeBytes } from './announce-query.ts';
import { decode } from './bdecode.ts';
import { collectedLog } from './collected-log.ts';
import { openAnnouncer } from './open-announcer.ts';
import { seededRandom } from './seeded-random.ts';
import { announceDatagram, connectDatagram, scrapeDatagram, urlData } from './udp-datagrams.ts';

const REQUESTS = Number(process.env.ENXAME_FUZZ_REQUESTS ?? 10_000);
const SEED = Number(process.env.ENXAME_FUZZ_SEED ?? Date.now() % 2 ** 31);
/** A busy machine does some thousands a second. */
const TIMEOUT_MILLISECONDS = 120_000 + 5 * REQUESTS;
const LIMITS = { maxSwarms: 20, maxPeers: 500, maxPeersPerSwarm: 100, maxPeersPerAddress: 300 };

function stage(random: () => number) {
  const { announcer, registry, clock } = openAnnouncer(random, { limits: LIMITS });
  const logger = collectedLog();
  /** Lets time pass now and then, and looks whether the registry kept its bounds. */
  const look = (number: number) => {
    if (number % 100 > 0) return;
    clock.now += 2_000;
    registry.expire(clock.now);
    expect(registry.peerCount).toBeLessThanOrEqual(LIMITS.maxPeers);
    expect(registry.swarmCount).toBeLessThanOrEqual(LIMITS.maxSwarms);
    let peers = 0;
    let seeds = 0;
    for (const infoHash of registry.infoHashes()) {
      const summary = registry.summary(infoHash, 1000);
      peers += summary?.peers ?? 0;
      seeds += summary?.seeders ?? 0;
    }
    expect([registry.peerCount, registry.seedCount]).toEqual([peers, seeds]);
  };
  return { registry, announcer, logger, clock, look };
}

/** Random pieces of requests. */
function chooser(random: () => number) {
  const below = (bound: number) => Math.floor(random() * bound);
  const one = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => below(256)));
  const host = () =>
    compactHost(below(4) === 0 ? `2001:db8:${below(9)}::${below(99)}` : `10.0.0.${below(200)}`);
  return { below, one, bytes, host };
}

/** Cuts, doubles, flips or inserts bytes. */
function mutate(bytes: Buffer, { below, bytes: random }: ReturnType<typeof chooser>): Buffer {
  const at = below(bytes.length + 1);
  switch (below(5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), random(below(30)), bytes.subarray(at)]);
    default: {
      const flipped = Buffer.from(bytes);
      for (let flips = below(4); flips > 0; flips -= 1) flipped[below(flipped.length)] = below(256);
      return flipped;
    }
  }
}

test(
  `HTTP: each of ${REQUESTS} requests gets a bencoded answer (seed ${SEED})`,
  async () => {
    const random = seededRandom(SEED);
    const choose = chooser(random);
    const { below, one, bytes } = choose;
    const { announcer, look } = stage(random);
    let good = 0;
    for (let number = 0; number < REQUESTS; number += 1) {
      let query = announceQuery({
        info_hash: escapeBytes(Buffer.alloc(20, below(40))),
        peer_id: escapeBytes(bytes(one([20, 20, 20, 20, 19]))),
        port: one([1, 6881, 65_535, below(100), below(70_000)]),
        left: one(['0', '1', '500', '18446744073709551615', '-1', undefined]),
        uploaded: one([0, 1e9, '99999999999999999999', 'x']),
        event: one([undefined, 'started', 'stopped', 'completed', 'paused', 'rubbish', '']),
        numwant: one([undefined, -1, 0, 50, 1e6]),
        compact: one([undefined, 0, 1]),
        node: one([undefined, `node-${below(9)}`, '%00']),
        zone: one([undefined, `zone-${below(4)}`, `${below(1e6)}`]),
        key: one([undefined, '0badcafe', 'x']),
      });
      if (below(4) === 0) query = mutate(Buffer.from(query, 'latin1'), choose).toString('latin1');
      const answer =
        below(20) === 0
          ? announcer.scrape(query, NO_CREDENTIALS)
          : await announcer.announce({ query, host: choose.host(), credentials: NO_CREDENTIALS });
      const reply = decode(Buffer.from(answer.body, 'latin1'));
      expect(typeof reply).toBe('object');
      if (answer.outcome === 'ok') good += 1;
      look(number);
    }
    expect(good).toBeGreaterThan(REQUESTS / 50);
  },
  TIMEOUT_MILLISECONDS,
);

test(
  `UDP: each of ${REQUESTS} datagrams gets one answer or none (seed ${SEED})`,
  () => {
    const random = seededRandom(SEED);
    const choose = chooser(random);
    const { below, one, bytes } = choose;
    const { announcer, look, logger, clock } = stage(random);
    let answers: Buffer[] = [];
    const parts = { answered: () => undefined, scraped: () => undefined, dropped: () => undefined };
    const tracker = new UdpTracker({ announcer, logger, now: () => clock.now, ...parts });
    const send = (answer: Buffer) => answers.push(answer);
    let good = 0;
    for (let number = 0; number < REQUESTS; number += 1) {
      const from = { address: `10.0.0.${below(200)}`, port: 1 + below(65_535) };
      answers = [];
      tracker.take(connectDatagram(), from, send);
      const id = below(9) === 0 ? bytes(8) : (answers[0] ?? bytes(16)).subarray(8);
      const infoHash = Buffer.alloc(20, below(40));
      let datagram =
        below(8) === 0
          ? scrapeDatagram(
              id,
              Array.from({ length: below(90) }, () => infoHash),
            )
          : announceDatagram(id, {
              infoHash,
              left: one([0n, 1n, 2n ** 64n - 1n]),
              event: below(6),
              wanted: one([-1, 0, 2 ** 31 - 1, -(2 ** 31)]),
              port: below(65_536),
              options: one([
                Buffer.alloc(0),
                bytes(below(40)),
                urlData('/announce/x'),
                Buffer.from([2, 255]),
              ]),
            });
      if (below(3) === 0) datagram = mutate(datagram, choose);
      answers = [];
      tracker.take(datagram, from, send);
      expect(answers.length).toBeLessThanOrEqual(1);
      expect(answers[0]?.length ?? 0).toBeLessThanOrEqual(1_232);
      if ((answers[0]?.readUInt32BE(0) ?? 3) < 3) good += 1;
      look(number);
    }
    expect(logger.lines).toEqual([]);
    expect(good).toBeGreaterThan(REQUESTS / 50);
  },
  TIMEOUT_MILLISECONDS,
);
