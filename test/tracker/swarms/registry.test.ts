import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AnnounceEvent } from '../../../tracker/announce/announce-request.ts';
import { compactHost, readCompact, setPort } from '../../../tracker/swarms/peer-address.ts';
import { type RegistryLimits, SwarmRegistry } from '../../../tracker/swarms/registry.ts';
import type { PeerReport } from '../../../tracker/swarms/swarm.ts';
import { seededRandom } from '../seeded-random.ts';

const A = 'aa'.repeat(20);
const B = 'bb'.repeat(20);

function report(number: number, leftBytes: number, more: Partial<PeerReport> = {}): PeerReport {
  const compact = compactHost(`10.0.${number >> 8}.${number & 255}`);
  if (compact === undefined) throw new Error('no address');
  setPort(compact, 6881);
  const peerId = Buffer.alloc(20, number & 255);
  const counts = { uploadedBytes: 0, downloadedBytes: 0, leftBytes };
  return { compact, peerId, key: 0, ...counts, node: undefined, zone: undefined, isOwn: true, ...more };
}

const registryWith = (limits: Partial<RegistryLimits> = {}) =>
  new SwarmRegistry({ now: 0, random: seededRandom(1), limits });

type AnnounceArguments = Parameters<SwarmRegistry['announce']>;

/** Announces; gives the hosts that were told of, and the counts as they were then. */
function announce(registry: SwarmRegistry, ...what: AnnounceArguments) {
  const { counts, picked, pickedCount } = registry.announce(...what);
  const { seeders, leechers, completed } = counts;
  const hosts = [...picked.subarray(0, pickedCount)].map(
    (peer) => readCompact(registry.table.compactOf(peer)).host,
  );
  return { counts: { seeders, leechers, completed }, hosts };
}

describe('who is told of whom', () => {
  test('the asker is not told of itself, and a seed not of seeds', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 0), 'none', 50, 1e9);
    registry.announce(A, report(2, 0), 'none', 50, 1e9);
    registry.announce(A, report(3, 9), 'none', 50, 1e9);
    expect(announce(registry, A, report(1, 0), 'none', 50, 1e9).hosts).toEqual(['10.0.0.3']);
    expect(announce(registry, A, report(3, 9), 'none', 50, 1e9).hosts.sort()).toEqual([
      '10.0.0.1',
      '10.0.0.2',
    ]);
  });

  test('a foreign seed is told of a few seeds where nobody else is, for it may lack the metadata', () => {
    const registry = registryWith();
    for (let number = 1; number <= 9; number += 1) registry.announce(A, report(number, 0), 'none', 0, 1e9);
    const { hosts } = announce(registry, A, report(1, 0), 'started', 50, 1e9);
    expect(new Set(hosts).size).toBe(5);
    expect(hosts).not.toContain('10.0.0.1');
    // An agent of ours that says so has everything.
    expect(announce(registry, A, report(2, 0, { node: 'n' }), 'none', 50, 1e9).hosts).toEqual([]);
    registry.announce(A, report(10, 5), 'none', 0, 1e9);
    expect(announce(registry, A, report(1, 0), 'none', 50, 1e9).hosts).toEqual(['10.0.0.10']);
  });

  test('one that leaves is told of nobody', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 0), 'none', 50, 1e9);
    registry.announce(A, report(2, 5), 'none', 50, 1e9);
    expect(announce(registry, A, report(2, 5), 'stopped', 50, 1e9)).toEqual({
      counts: { seeders: 1, leechers: 0, completed: 0 },
      hosts: [],
    });
  });

  test('everybody is as likely as everybody else', () => {
    const registry = registryWith();
    const others = 20;
    for (let number = 0; number <= others; number += 1)
      registry.announce(A, report(number, number < 3 ? 0 : 7), 'none', 0, 1e9);
    const seen = new Map<string, number>();
    const rounds = 4000;
    const wanted = 5;
    for (let round = 0; round < rounds; round += 1) {
      const picked = announce(registry, A, report(others, 7), 'none', wanted, 1e9).hosts;
      expect(new Set(picked).size).toBe(wanted);
      for (const host of picked) seen.set(host, (seen.get(host) ?? 0) + 1);
    }
    const mean = (rounds * wanted) / others;
    expect(seen.size).toBe(others);
    for (const count of seen.values()) expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
  });
});

describe('those who are late to announce', () => {
  const LATE_AT = 100_000;
  const EXPIRES_AT = 1e9;

  /** A swarm of so many peers, of which the first ones are late, and one that asks. */
  const filled = (late: number, all: number) => {
    const registry = registryWith();
    for (let number = 0; number < all; number += 1)
      registry.announce(A, report(number, 7), 'none', 0, EXPIRES_AT, number < late ? LATE_AT : EXPIRES_AT);
    registry.expire(LATE_AT);
    const ask = (wanted: number) =>
      announce(registry, A, report(999, 7), 'none', wanted, EXPIRES_AT).hosts.map(
        (host) => Number(host.split('.')[2]) * 256 + Number(host.split('.')[3]) < late,
      );
    return { registry, ask };
  };

  test('come behind the others where all are told', () => {
    expect(filled(3, 8).ask(50)).toEqual([false, false, false, false, false, true, true, true]);
  });

  test('are told seldom where there are enough others', () => {
    const { ask } = filled(500, 1000);
    const told = Array.from({ length: 40 }, () => ask(50)).flat();
    expect(told).toHaveLength(2000);
    // Half of those that are drawn are late, and half of what is drawn again instead of them.
    expect(told.filter((isLate) => isLate).length).toBeLessThan(600);
  });

  test('are told where there is nobody else, each once', () => {
    const { registry } = filled(40, 40);
    const { hosts } = announce(registry, A, report(999, 7), 'none', 30, EXPIRES_AT);
    expect(new Set(hosts).size).toBe(30);
  });

  test('are late no more once they announce', () => {
    const { registry, ask } = filled(1, 2);
    registry.announce(A, report(0, 7), 'none', 0, EXPIRES_AT);
    registry.announce(A, report(1, 7), 'none', 0, EXPIRES_AT, LATE_AT);
    expect(ask(5)).toEqual([true, false]);
  });

  test('the others stay equally likely', () => {
    const registry = registryWith();
    const others = 20;
    for (let number = 0; number < 2 * others; number += 1)
      registry.announce(A, report(number, 7), 'none', 0, EXPIRES_AT, number < others ? EXPIRES_AT : LATE_AT);
    registry.expire(LATE_AT);
    const seen = new Map<string, number>();
    for (let round = 0; round < 4000; round += 1)
      for (const host of announce(registry, A, report(999, 7), 'none', 10, EXPIRES_AT).hosts)
        seen.set(host, (seen.get(host) ?? 0) + 1);
    const counts = Array.from({ length: others }, (_, number) => seen.get(`10.0.0.${number}`) ?? 0);
    const mean = counts.reduce((sum, count) => sum + count) / others;
    for (const count of counts) expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
  });
});

test('leechers of our own are counted apart, whatever becomes of them', () => {
  const registry = registryWith();
  const counts = () => [registry.leecherCount, registry.ownLeecherCount];
  registry.announce(A, report(1, 5), 'none', 0, 1e9);
  registry.announce(A, report(2, 5, { isOwn: false }), 'none', 0, 1e9);
  registry.announce(A, report(3, 0), 'none', 0, 1e9);
  expect(counts()).toEqual([2, 1]);
  registry.announce(A, report(2, 5), 'none', 0, 1e9);
  expect(counts()).toEqual([2, 2]);
  registry.announce(A, report(1, 0), 'completed', 0, 1e9);
  expect(counts()).toEqual([1, 1]);
  registry.announce(A, report(2, 5), 'stopped', 0, 1e9);
  registry.announce(A, report(3, 0), 'stopped', 0, 1e9);
  expect(counts()).toEqual([0, 0]);
});

describe('events', () => {
  test('stopped from a stranger changes nothing', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 5), 'none', 0, 1e9);
    registry.announce(A, report(2, 5), 'stopped', 0, 1e9);
    registry.announce(B, report(2, 5), 'stopped', 0, 1e9);
    expect(registry.peerCount).toBe(1);
    expect(registry.swarmCount).toBe(1);
  });

  test('completed is counted once for a peer', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 5), 'started', 0, 1e9);
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    registry.announce(A, report(1, 0), 'none', 0, 1e9);
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    expect(registry.counts(A)).toMatchObject({ seeders: 1, leechers: 0, completed: 1 });
  });

  test('a peer that came complete, or still lacks something, does not complete', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 0), 'started', 0, 1e9);
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    registry.announce(A, report(2, 5), 'completed', 0, 1e9);
    expect(registry.counts(A)).toMatchObject({ seeders: 1, leechers: 1, completed: 0 });
  });

  test('a peer that this tracker did not see as a leecher (it was started anew) completes', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    expect(registry.counts(A)?.completed).toBe(1);
  });

  test('stopped of one that another stands for now changes nothing', () => {
    const registry = registryWith();
    registry.announce(A, report(1, 5, { key: 7 }), 'started', 0, 1e9);
    registry.announce(A, report(1, 5, { peerId: Buffer.alloc(20, 9) }), 'stopped', 0, 1e9);
    registry.announce(A, report(1, 5, { key: 8 }), 'stopped', 0, 1e9);
    expect(registry.peerCount).toBe(1);
    registry.announce(A, report(1, 5, { key: 7 }), 'stopped', 0, 1e9);
    expect(registry.peerCount).toBe(0);
  });
});

describe('partial seeds', () => {
  test('are told to leechers, not to those that download no more, and count as incomplete', () => {
    const registry = registryWith();
    announce(registry, A, report(1, 5), 'paused', 9, 1e9);
    expect(announce(registry, A, report(2, 0, { node: 'n' }), 'none', 9, 1e9).hosts).toEqual([]);
    expect(announce(registry, A, report(3, 5), 'paused', 9, 1e9).hosts).toEqual([]);
    expect(announce(registry, A, report(4, 5), 'none', 9, 1e9).hosts).toHaveLength(3);
    expect(registry.counts(A)).toMatchObject({ seeders: 1, leechers: 3, partialSeeds: 2 });
    announce(registry, A, report(1, 5), 'none', 9, 1e9);
    expect(registry.counts(A)).toMatchObject({ seeders: 1, leechers: 3, partialSeeds: 1 });
    expect(announce(registry, A, report(2, 0), 'none', 9, 1e9).hosts.sort()).toEqual([
      '10.0.0.1',
      '10.0.0.4',
    ]);
  });
});

describe('zones', () => {
  const zoneOf = (host: string) => Number(host.split('.')[3]) % 3;
  const filled = (localShare?: number) => {
    const registry = new SwarmRegistry({ now: 0, random: seededRandom(1), localShare });
    for (let number = 0; number < 150; number += 1)
      registry.announce(A, report(number, 1, { zone: `zone-${number % 3}` }), 'none', 0, 1e9);
    return registry;
  };

  test.each([
    [undefined, 20],
    [0.5, 15],
    [0, 0],
    [1, 30],
  ])('with a share of %p for the own zone, %i of 30 are of it', (share, local) => {
    const { hosts } = announce(filled(share), A, report(0, 1, { zone: 'zone-0' }), 'none', 30, 1e9);
    expect(new Set(hosts).size).toBe(30);
    expect(hosts).not.toContain('10.0.0.0');
    expect(hosts.filter((host) => zoneOf(host) === 0)).toHaveLength(local);
  });

  test('the first ones, whom the asker dials, are mixed alike, also where an answer tells of everybody', () => {
    for (const wanted of [60, 150]) {
      const { hosts } = announce(filled(), A, report(0, 1, { zone: 'zone-0' }), 'none', wanted, 1e9);
      const own = hosts.slice(0, 15).filter((host) => zoneOf(host) === 0);
      expect(own).toHaveLength(10);
    }
  });

  test('where the own zone has too few, others fill the answer, and the other way round', () => {
    const registry = filled();
    const few = announce(registry, A, report(200, 1, { zone: 'zone-9' }), 'none', 30, 1e9);
    expect(few.hosts).toHaveLength(30);
    for (let number = 0; number < 150; number += 1)
      if (number % 3 > 0) registry.announce(A, report(number, 1), 'stopped', 0, 1e9);
    const { hosts } = announce(registry, A, report(0, 1, { zone: 'zone-0' }), 'none', 30, 1e9);
    expect(hosts).toHaveLength(30);
    expect(hosts).toContain('10.0.0.200');
  });

  test('one that moves to another zone is found there', () => {
    const registry = filled();
    registry.announce(A, report(1, 1, { zone: 'zone-7' }), 'none', 0, 1e9);
    const { hosts } = announce(registry, A, report(200, 1, { zone: 'zone-7' }), 'none', 3, 1e9);
    expect(hosts).toContain('10.0.0.1');
  });

  test('one without a zone is told of all alike', () => {
    const { hosts } = announce(filled(), A, report(200, 1), 'none', 60, 1e9);
    expect(new Set(hosts.map(zoneOf)).size).toBe(3);
  });
});

describe('figures', () => {
  test('bytes moved are summed over restarts and departures', () => {
    const registry = registryWith();
    const moved = (
      number: number,
      uploadedBytes: number,
      downloadedBytes: number,
      event: AnnounceEvent = 'none',
    ) => registry.announce(A, report(number, 10, { uploadedBytes, downloadedBytes }), event, 0, 1e9);
    moved(1, 0, 100);
    moved(1, 50, 300);
    moved(2, 7, 0);
    moved(1, 5, 20, 'started'); // It restarted and counts from 0 again.
    moved(2, 7, 0, 'stopped');
    expect(registry.summary(A)).toMatchObject({ peers: 1, uploadedBytes: 62, downloadedBytes: 320 });
  });

  test('the ten nodes that lack most are named, worst first', () => {
    const registry = registryWith();
    for (let number = 1; number <= 30; number += 1)
      registry.announce(A, report(number, (number * 7) % 31, { node: `node-${number}` }), 'none', 0, 1e9);
    registry.announce(A, report(40, 1000), 'none', 0, 1e9); // No agent: it has no node.
    const left = Array.from({ length: 30 }, (_, index) => ((index + 1) * 7) % 31).sort((a, b) => b - a);
    const summary = registry.summary(A);
    expect(summary?.slowest.map(({ bytesLeft }) => bytesLeft)).toEqual(left.slice(0, 10));
    for (const { node, bytesLeft } of summary?.slowest ?? [])
      expect((Number(node.slice(5)) * 7) % 31).toBe(bytesLeft);
    expect(summary?.bytesLeft).toBe(left.reduce((sum, bytes) => sum + bytes, 1000));
  });

  test('progress is told in percentiles, seeds counted in', () => {
    const registry = registryWith();
    for (let number = 0; number < 100; number += 1)
      registry.announce(A, report(number, 1000 - number * 10), 'none', 0, 1e9);
    for (let number = 100; number < 110; number += 1) registry.announce(A, report(number, 0), 'none', 0, 1e9);
    expect(registry.summary(A, 1000)?.progressPercent).toEqual({
      min: 0,
      p10: 10,
      p50: 54,
      p90: 98,
      max: 100,
    });
    expect(registry.summary(A)?.progressPercent).toBeUndefined();
  });

  test('rates are those of the last 10 to 20 seconds', () => {
    const registry = registryWith();
    const moved = (downloadedBytes: number, now: number) => {
      registry.announce(A, report(1, 1, { downloadedBytes }), 'none', 0, 1e9);
      registry.expire(now);
    };
    moved(0, 10_000);
    moved(1_000, 15_000);
    expect(registry.summary(A)?.downloadRate).toBe(200);
    moved(5_000, 20_000);
    moved(6_000, 30_000);
    expect(registry.summary(A)?.downloadRate).toBe(100);
    registry.expire(60_000);
    registry.expire(70_000);
    expect(registry.summary(A)?.downloadRate).toBe(0);
  });

  test('counts that strangers state do not overflow', () => {
    const registry = registryWith();
    for (let number = 0; number < 5; number += 1)
      announce(
        registry,
        A,
        report(number, Number.MAX_SAFE_INTEGER, { uploadedBytes: Number.MAX_SAFE_INTEGER }),
        'none',
        0,
        1e9,
      );
    expect(registry.summary(A)).toMatchObject({
      bytesLeft: Number.MAX_SAFE_INTEGER,
      uploadedBytes: Number.MAX_SAFE_INTEGER,
    });
  });
});

describe('seeds', () => {
  test('the first seed of a swarm is told, the second not', () => {
    const registry = registryWith();
    const told: string[] = [];
    const end = registry.onFirstSeed((infoHash) => told.push(infoHash));
    registry.announce(A, report(1, 5), 'none', 0, 1e9);
    registry.announce(A, report(1, 0), 'completed', 0, 1e9);
    registry.announce(A, report(2, 0), 'none', 0, 1e9);
    expect(told).toEqual([A]);
    registry.drop(A);
    registry.announce(A, report(2, 0), 'none', 0, 1e9);
    expect(told).toEqual([A, A]);
    end();
    registry.announce(B, report(2, 0), 'none', 0, 1e9);
    expect(told).toEqual([A, A]);
  });

  test('agents come before other seeds', () => {
    const registry = registryWith();
    for (let number = 0; number < 8; number += 1)
      registry.announce(A, report(number, 0, number === 5 ? { node: 'n5' } : {}), 'none', 0, 1e9);
    expect(registry.seeds(A, 3)).toHaveLength(3);
    expect(registry.seeds(A, 3)[0]?.node).toBe('n5');
    expect(registry.seeds(B, 3)).toEqual([]);
  });
});

describe('bounds', () => {
  test('a full swarm gives up a member for a new one', () => {
    const registry = registryWith({ maxPeersPerSwarm: 3 });
    for (let number = 0; number < 10; number += 1) {
      registry.announce(A, report(number, 1), 'none', 0, 1e9);
      expect(registry.summary(A)?.peers).toBeLessThanOrEqual(3);
    }
    expect(registry.peerCount).toBe(3);
    expect(registry.evictions.peers).toBe(7);
  });

  test('one host cannot fill the registry, and is let in again when it has fewer', () => {
    const registry = registryWith({ maxPeersPerAddress: 3 });
    const join = (host: number, port: number, event: AnnounceEvent = 'none') => {
      const { compact, ...rest } = report(host, 1);
      setPort(compact, port);
      return registry.announce(A, { ...rest, compact }, event, 0, 1e9);
    };
    for (let port = 1; port <= 3; port += 1) join(1, port);
    expect(() => join(1, 4)).toThrow('too many peers');
    join(2, 4);
    join(1, 3);
    join(1, 2, 'stopped');
    join(1, 4);
    expect(() => join(1, 5)).toThrow('too many peers');
    expect([registry.peerCount, registry.evictions.refused]).toEqual([4, 2]);
  });

  test('a peer takes less than 200 bytes, also right after the columns grew', () => {
    const registry = registryWith();
    let most = 0;
    for (let number = 0; number < 65_536; number += 1) {
      registry.announce(A, report(number, 1), 'none', 0, 1e9);
      if (number >= 10_000) most = Math.max(most, registry.bytes / registry.peerCount);
    }
    expect(most).toBeLessThan(200);
  });

  test('a swarm of one works', () => {
    const registry = registryWith({ maxPeersPerSwarm: 1 });
    for (let number = 0; number < 5; number += 1) registry.announce(A, report(number, 1), 'none', 0, 1e9);
    expect(registry.peerCount).toBe(1);
    expect(registry.counts(A)).toMatchObject({ seeders: 0, leechers: 1, completed: 0 });
  });

  test('the swarm that was announced to longest ago goes first', () => {
    const registry = registryWith({ maxSwarms: 2 });
    registry.announce(A, report(1, 1), 'none', 0, 1e9);
    registry.announce(B, report(1, 1), 'none', 0, 1e9);
    registry.announce(A, report(1, 1), 'none', 0, 1e9);
    registry.announce('cc'.repeat(20), report(1, 1), 'none', 0, 1e9);
    expect(registry.counts(B)).toBeUndefined();
    expect(registry.counts(A)).toBeDefined();
    expect(registry.evictions.swarms).toBe(1);
    expect(registry.peerCount).toBe(2);
  });
});

interface ModelPeer {
  left: number;
  event: AnnounceEvent;
  expiresAt: number;
}

test('it agrees with a naive registry whatever happens', () => {
  const SLOT_MILLISECONDS = 5_000;
  const step = fc.record({
    swarm: fc.constantFrom(A, B),
    peer: fc.nat(7),
    left: fc.constantFrom(0, 0, 10, 20),
    event: fc.constantFrom<AnnounceEvent>('none', 'started', 'completed', 'stopped', 'paused'),
    wanted: fc.nat(10),
    interval: fc.constantFrom(10_000, 60_000),
    pass: fc.constantFrom(0, 0, 0, 3_000, 20_000),
    drop: fc.integer({ min: 0, max: 19 }).map((number) => number === 0),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.integer(), (steps, seed) => {
      let now = 0;
      const registry = new SwarmRegistry({ now, random: seededRandom(seed) });
      const model = new Map<string, Map<string, ModelPeer>>([
        [A, new Map()],
        [B, new Map()],
      ]);
      for (const { swarm, peer, left, event, wanted, interval, pass, drop } of steps) {
        now += pass;
        registry.expire(now);
        // The wheel is exact to a slot: what ended in slots that are over is gone.
        const over = Math.floor(now / SLOT_MILLISECONDS) * SLOT_MILLISECONDS;
        for (const peers of model.values())
          for (const [host, { expiresAt }] of peers) if (expiresAt < over) peers.delete(host);
        const peers = model.get(swarm) as Map<string, ModelPeer>;
        if (drop) {
          registry.drop(swarm);
          peers.clear();
        }
        const host = `10.0.0.${peer}`;
        if (event === 'stopped') peers.delete(host);
        else peers.set(host, { left, event, expiresAt: now + interval });
        const answer = announce(registry, swarm, report(peer, left), event, wanted, now + interval);

        const isUploader = left === 0 || event === 'paused';
        const others = [...peers].filter(([theirHost]) => theirHost !== host);
        const downloading = others.filter(([, theirs]) => theirs.left > 0 && theirs.event !== 'paused');
        // A foreign seed that would be told of nobody is told of a few seeds.
        const isToldOfSeeds = left === 0 && downloading.length === 0;
        const eligible = isUploader && !isToldOfSeeds ? downloading : others;
        const most = isToldOfSeeds ? Math.min(wanted, 5) : wanted;
        const expected = event === 'stopped' ? 0 : Math.min(most, eligible.length);
        const picked = answer.hosts;
        expect(picked).toHaveLength(expected);
        expect(new Set(picked).size).toBe(expected);
        for (const host of picked) expect(eligible.map(([name]) => name)).toContain(host);

        let all = 0;
        let seeds = 0;
        for (const [infoHash, members] of model) {
          const states = [...members.values()];
          all += states.length;
          seeds += states.filter((member) => member.left === 0).length;
          expect(registry.summary(infoHash)?.peers ?? 0).toBe(states.length);
          expect(registry.summary(infoHash)?.bytesLeft ?? 0).toBe(
            states.reduce((sum, member) => sum + member.left, 0),
          );
          expect(registry.counts(infoHash)?.seeders ?? 0).toBe(
            states.filter((member) => member.left === 0).length,
          );
        }
        expect([registry.peerCount, registry.seedCount]).toEqual([all, seeds]);
      }
    }),
    { numRuns: 300 },
  );
});
