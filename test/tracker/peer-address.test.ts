import { describe, expect, test } from '@jest/globals';
import { peerAddress } from '../../tracker/peer-address.ts';

describe('peerAddress', () => {
  test('IPv4', () => {
    expect(peerAddress('192.0.2.7', 6881)).toEqual({
      host: '192.0.2.7',
      port: 6881,
      compact: Buffer.from([192, 0, 2, 7, 0x1a, 0xe1]),
    });
  });

  test('IPv4 on a dual-stack socket is IPv4', () => {
    expect(peerAddress('::ffff:192.0.2.7', 6881)).toEqual(peerAddress('192.0.2.7', 6881));
  });

  test('IPv6, with and without a zone', () => {
    const address = peerAddress('2001:db8::1', 80);
    expect(address?.host).toBe('2001:db8::1');
    expect(address?.compact.toString('hex')).toBe('20010db80000000000000000000000010050');
    expect(peerAddress('fe80::1%eth0', 80)?.compact).toEqual(peerAddress('fe80::1', 80)?.compact);
  });

  test.each([undefined, '', 'localhost', '1.2.3', '::1::'])('%p is no address', (text) => {
    expect(peerAddress(text, 1)).toBeUndefined();
  });
});
