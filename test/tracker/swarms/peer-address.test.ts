import { describe, expect, test } from '@jest/globals';
import { compactHost, readCompact, setPort } from '../../../tracker/swarms/peer-address.ts';

function compact(host: string, port: number): Buffer | undefined {
  const address = compactHost(host);
  if (address !== undefined) setPort(address, port);
  return address;
}

describe('compact addresses', () => {
  test('IPv4', () => {
    expect(compact('192.0.2.7', 6881)).toEqual(Buffer.from([192, 0, 2, 7, 0x1a, 0xe1]));
  });

  test('IPv4 on a dual-stack socket is IPv4', () => {
    expect(compact('::ffff:192.0.2.7', 6881)).toEqual(compact('192.0.2.7', 6881));
  });

  test('IPv6, with and without a zone', () => {
    expect(compact('2001:db8::1', 80)?.toString('hex')).toBe('20010db80000000000000000000000010050');
    expect(compact('fe80::1%eth0', 80)).toEqual(compact('fe80::1', 80));
  });

  test.each(['192.0.2.7', '2001:db8::1'])('%s is read as it was written', (host) => {
    expect(readCompact(compact(host, 65_535) ?? Buffer.alloc(6))).toEqual({ host, port: 65_535 });
  });

  test.each([undefined, '', 'localhost', '1.2.3', '::1::'])('%p is no address', (text) => {
    expect(compactHost(text)).toBeUndefined();
  });
});
