import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OwnAddress, peerPriority } from '../../../../torrent/swarm/peers/peer-priority.ts';

const at = (host: string, port = 6881) => ({ host, port });

test('the examples of BEP 40', () => {
  expect(peerPriority(at('123.213.32.10'), at('98.76.54.32'))).toBe(0xec2d7224);
  expect(peerPriority(at('123.213.32.10'), at('123.213.32.234'))).toBe(0x99568189);
});

test('both ends compute the same', () => {
  const address = fc.record({
    host: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  fc.assert(
    fc.property(address, address, (a, b) => {
      expect(peerPriority(a, b)).toBe(peerPriority(b, a));
    }),
  );
});

test('within a network the whole address counts, on one host the ports', () => {
  const own = at('10.0.0.1');
  const distinct = (addresses: { host: string; port: number }[]) =>
    new Set(addresses.map((address) => peerPriority(own, address))).size;
  expect(distinct(Array.from({ length: 200 }, (_, i) => at(`10.0.0.${i + 2}`)))).toBe(200);
  expect(distinct(Array.from({ length: 200 }, (_, i) => at('10.0.0.1', i + 1)))).toBe(200);
  // From afar, the neighbours of a network are alike in part: nobody gains by having many addresses there.
  expect(distinct(Array.from({ length: 256 }, (_, i) => at(`99.0.0.${i}`)))).toBe(16);
});

test('names and other families have none', () => {
  expect(peerPriority(at('10.0.0.1'), at('peer.example'))).toBeUndefined();
  expect(peerPriority(at('10.0.0.1'), at('2001:db8::1'))).toBeUndefined();
});

test('our address is what most say, each host once', () => {
  const own = new OwnAddress();
  expect(own.host).toBeUndefined();
  own.said('a', '10.0.0.1');
  own.said('b', '10.0.0.2');
  own.said('c', '10.0.0.2');
  for (let i = 0; i < 10; i++) own.said('a', '10.0.0.1');
  expect(own.host).toBe('10.0.0.2');
  for (let i = 0; i < 1000; i++) own.said(`x${i}`, '10.0.0.3');
  expect(own.host).toBe('10.0.0.3');
});

test('of our address the latest 64 voices count', () => {
  const own = new OwnAddress();
  for (let i = 0; i < 40; i++) own.said(`early ${i}`, '10.0.0.1');
  for (let i = 0; i < 32; i++) own.said(`late ${i}`, '10.0.0.2');
  // 32 of each are left; the first of the early ones goes next.
  expect(own.host).toBe('10.0.0.1');
  own.said('late', '10.0.0.2');
  expect(own.host).toBe('10.0.0.2');
});
