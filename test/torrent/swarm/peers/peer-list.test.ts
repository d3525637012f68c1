import { describe, expect, test } from '@jest/globals';
import { PeerList } from '../../../../torrent/swarm/peers/peer-list.ts';
import { peerPriority } from '../../../../torrent/swarm/peers/peer-priority.ts';
import { POLICIES } from '../../../../torrent/swarm/policy/policies.ts';

// Written out, so that a changed number is noticed.
const MAX_KNOWN_ADDRESSES = 1000;

const LONGEST = 15_000;
const list = () => new PeerList(LONGEST, () => 0.5);
const a = { host: '10.0.0.1', port: 6881 };
const b = { host: '10.0.0.2', port: 6881 };

test('each address is dialled once at a time', () => {
  const peers = list();
  peers.add([a, b, a]);
  expect(peers.next(0, false)).toMatchObject(a);
  expect(peers.next(0, false)).toMatchObject(b);
  expect(peers.next(0, false)).toBeUndefined();
  peers.add([a]);
  expect(peers.next(0, false)).toBeUndefined();
});

test('an address that fails waits longer each time, up to the longest wait, and is never given up', () => {
  const peers = list();
  peers.add([a]);
  expect(peers.next(0, false)).toMatchObject(a);
  const waits: number[] = [];
  let now = 0;
  for (let i = 0; i < 12; i++) {
    peers.failed(a, now);
    const failedAt = now;
    while (peers.next(now, false) === undefined) now += 50;
    waits.push(now - failedAt);
  }
  expect(waits).toEqual([...waits].sort((x, y) => x - y));
  expect(waits[0]).toBeLessThanOrEqual(1000);
  expect(waits.at(-1)).toBe(LONGEST);
});

test.each([
  ['classic', 60_000],
  ['cluster', 15_000],
] as const)('%s: an address that always fails is dialled again after %d ms', (policy, longest) => {
  const peers = new PeerList(POLICIES[policy].longestRedialMilliseconds, () => 0.5);
  peers.add([a]);
  for (let i = 0; i < 20; i++) peers.failed(a, 0);
  expect(peers.next(longest - 1, false)).toBeUndefined();
  expect(peers.next(longest, false)).toMatchObject(a);
});

test('a peer that was connected is dialled again soon', () => {
  const peers = list();
  peers.connected(a);
  expect(peers.next(0, false)).toBeUndefined();
  peers.disconnected(a, 1000, false);
  expect(peers.next(1000, false)).toBeUndefined();
  expect(peers.next(2000, false)).toMatchObject(a);
});

test('seeds are not dialled by seeds', () => {
  const peers = list();
  peers.connected(a);
  peers.disconnected(a, 0, true);
  expect(peers.next(5000, true)).toBeUndefined();
  expect(peers.next(5000, false)).toMatchObject(a);
});

describe('hints that are no addresses cost nothing', () => {
  test.each([
    [{ host: '', port: 1 }],
    [{ host: '10.0.0.1', port: 0 }],
    [{ host: '10.0.0.1', port: 65536 }],
    [{ host: '10.0.0.1', port: 1.5 }],
    [{ host: '10.0.0.1', port: Number.NaN }],
    [{ host: 'x'.repeat(300), port: 1 }],
  ])('%j', (address) => {
    const peers = list();
    peers.add([address]);
    expect(peers.size).toBe(0);
  });
});

test('is bounded, and prefers addresses that did not fail', () => {
  const peers = list();
  const many = (from: number) =>
    Array.from({ length: MAX_KNOWN_ADDRESSES }, (_, i) => ({ host: '10.1.1.1', port: from + i }));
  peers.add(many(1));
  peers.add(many(10_000));
  expect(peers.size).toBe(MAX_KNOWN_ADDRESSES);
  peers.failed({ host: '10.1.1.1', port: 5 }, 0);
  peers.add([a]);
  expect(peers.size).toBe(MAX_KNOWN_ADDRESSES);
  const dialled = [];
  for (let next = peers.next(0, false); next !== undefined; next = peers.next(0, false)) dialled.push(next);
  expect(dialled).toContainEqual(expect.objectContaining(a));
  expect(dialled).not.toContainEqual(expect.objectContaining({ port: 5 }));
});

test('an address that turned out to be ourselves is never dialled again', () => {
  const peers = list();
  peers.add([a]);
  peers.next(0, false);
  peers.forget(a);
  peers.add([a]);
  expect(peers.next(1e9, false)).toBeUndefined();
});

test('a banned host is not dialled, whatever its port', () => {
  const peers = list();
  peers.add([a, b]);
  peers.ban(a.host);
  expect(peers.next(0, false)).toMatchObject(b);
  expect(peers.next(0, false)).toBeUndefined();
});

test('an address beside a banned one of IPv6 is dialled: who is there is known once it has answered', () => {
  const peers = list();
  peers.add([{ host: '2a01:4f8:1:2::7', port: 1 }]);
  peers.ban('2a01:4f8:1:2::1');
  expect(peers.next(0, false)).toMatchObject({ port: 1 });
  expect([true, false].map((isOwnKind) => peers.isBanned('2a01:4f8:1:2::7', isOwnKind))).toEqual([
    false,
    true,
  ]);
});

test('once our address is known, the one of the highest priority comes first (BEP 40)', () => {
  const list = new PeerList(60_000, () => 0.5);
  const own = { host: '10.0.0.1', port: 6881 };
  const hosts = Array.from({ length: 20 }, (_, i) => ({ host: `10.0.0.${i + 2}`, port: 6881 }));
  list.add(hosts.slice(0, 10));
  list.ownAddress = own;
  list.add(hosts.slice(10));
  const order = hosts.map(() => list.next(0, false));
  const priorities = order.map((address) => peerPriority(own, address ?? own) ?? 0);
  expect(new Set(order).size).toBe(20);
  expect(priorities).toEqual([...priorities].sort((a, b) => b - a));
});
