// What all peers together may leave unread: who pays for it.
import { describe, expect, test } from '@jest/globals';
import { boundUnsentBytes } from '../../../../torrent/session/peers/unsent-bytes.ts';

/** Connections by their unsent bytes; `ended` are the hosts and bytes of those that were ended, in order. */
function connections(...owed: [host: string, bytes: number][]) {
  const ended: [string, number][] = [];
  const all = owed.map(([host, unsentBytes], port) => ({
    address: { host, port },
    unsentBytes,
    end: () => ended.push([host, unsentBytes]),
  }));
  return { all, ended };
}

describe('unsent bytes of all connections', () => {
  test('none is ended within the bound', () => {
    const { all, ended } = connections(['192.0.2.1', 60], ['192.0.2.2', 0], ['192.0.2.3', 40]);
    expect(boundUnsentBytes(all, 100)).toBe(100);
    expect(ended).toEqual([]);
  });

  test('the host with the most pays, its largest first, and no more than has to', () => {
    const { all, ended } = connections(
      ['192.0.2.1', 10],
      ['192.0.2.9', 20],
      ['192.0.2.2', 35],
      ['192.0.2.9', 30],
      ['192.0.2.9', 25],
    );
    expect(boundUnsentBytes(all, 70)).toBe(65);
    expect(ended).toEqual([
      ['192.0.2.9', 30],
      ['192.0.2.9', 25],
    ]);
  });

  test('the addresses of an IPv6 subnet are one host', () => {
    const { all, ended } = connections(
      ['2001:db8::1', 30],
      ['2001:db8:0:1::1', 20],
      ['2001:db8:0:1::2', 20],
      ['192.0.2.1', 35],
    );
    boundUnsentBytes(all, 90);
    expect(ended).toEqual([['2001:db8:0:1::1', 20]]);
  });
});
