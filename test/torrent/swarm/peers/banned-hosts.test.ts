import { describe, expect, test } from '@jest/globals';
import { BannedHosts } from '../../../../torrent/swarm/peers/banned-hosts.ts';

// Written out, so that a changed number is noticed.
const MAX_BANNED_OF_RANGE = 4;
const MAX_KNOWN_IDENTITIES = 4096;

function banned(...hosts: string[]): BannedHosts {
  const all = new BannedHosts();
  for (const host of hosts) all.add(host);
  return all;
}

describe('of IPv6', () => {
  test('a stranger is banned together with its /64, and no more than that', () => {
    const bans = banned('2a01:4f8:1:2::1');
    for (const host of ['2a01:4f8:1:2::1', '2a01:4f8:1:2::2', '2a01:04F8:1:2:ffff:ffff:ffff:ffff'])
      expect(bans.has(host, false)).toBe(true);
    for (const host of ['2a01:4f8:1:3::1', '2a01:4f8:2:2::1', '10.0.0.1', 'tracker.example'])
      expect(bans.has(host, false)).toBe(false);
  });

  test('clients of our own kind are banned one by one, until several of a /64 were', () => {
    const bans = banned();
    for (let i = 1; i <= MAX_BANNED_OF_RANGE; i++) {
      expect(bans.has('2a01:4f8:1:2::ff', true)).toBe(false);
      bans.add(`2a01:4f8:1:2::${i}`);
      bans.add(`2a01:4f8:1:2::${i}`);
      expect(bans.has(`2a01:4f8:1:2::${i}`, true)).toBe(true);
    }
    expect(bans.has('2a01:4f8:1:2::ff', true)).toBe(true);
    expect(bans.has('2a01:4f8:1:3::ff', true)).toBe(false);
  });

  test.each([
    ['local to a link', 'fe80::1', 'fe80::2'],
    ['local to a site', 'fd00:1:2:3::1', 'fd00:1:2:3::2'],
    ['Teredo', '2001:0:5ef5:79fb::1', '2001:0:5ef5:79fb::2'],
    ['translated from IPv4', '64:ff9b::102:304', '64:ff9b::506:708'],
    ['mapped from IPv4', '::ffff:1.2.3.4', '::ffff:1.2.3.5'],
    ['loopback', '::1', '::2'],
  ])('%s: only the address, since many share the /64', (_, guilty, other) => {
    const bans = banned(guilty);
    expect(bans.has(guilty, false)).toBe(true);
    expect(bans.has(other, false)).toBe(false);
  });
});

test('of IPv4 one address is banned, for everybody', () => {
  const bans = banned('192.0.2.1');
  expect([bans.has('192.0.2.1', true), bans.has('192.0.2.1', false)]).toEqual([true, true]);
  expect(bans.has('192.0.2.2', false)).toBe(false);
});

test('the oldest are forgotten where there are very many', () => {
  const bans = banned('2a01:4f8:1:2::1', '192.0.2.1');
  for (let i = 0; i < MAX_KNOWN_IDENTITIES; i++)
    bans.add(`2a02:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`);
  expect(bans.has('2a01:4f8:1:2::2', false)).toBe(false);
  expect(bans.has('192.0.2.1', false)).toBe(false);
  expect(bans.has('2a02::1', false)).toBe(true);
});
