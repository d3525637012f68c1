import { describe, expect, test } from '@jest/globals';
import {
  EXCHANGE_MILLISECONDS,
  ExchangePartner,
  isWorthADial,
} from '../../../torrent/discovery/peer-exchange.ts';

const peer = (number: number) => ({ host: `10.1.${number >> 8}.${number & 255}`, port: 6881 });
const peers = (...numbers: number[]) => numbers.map(peer);

describe('what a peer is told', () => {
  test('is what changed, once, at most once a minute', () => {
    const partner = new ExchangePartner(EXCHANGE_MILLISECONDS);
    expect(partner.news([], '10.0.0.9', 0)).toBeUndefined();
    expect(partner.news(peers(1, 2), '10.0.0.9', 10)).toEqual({ added: peers(1, 2), dropped: [] });
    expect(partner.news(peers(2, 3), '10.0.0.9', 59_000)).toBeUndefined();
    expect(partner.news(peers(2, 3), '10.0.0.9', 60_010)).toEqual({ added: peers(3), dropped: peers(1) });
    expect(partner.news(peers(2, 3), '10.0.0.9', 200_000)).toBeUndefined();
    expect(partner.news(peers(2), '10.0.0.9', 200_001)).toEqual({ added: [], dropped: peers(3) });
  });

  test('is fifty addresses at a time, the rest follows', () => {
    const partner = new ExchangePartner(EXCHANGE_MILLISECONDS);
    const many = Array.from({ length: 120 }, (_, i) => peer(i));
    const told = [0, 1, 2, 3].map((minute) => partner.news(many, '10.0.0.9', minute * 60_000)?.added.length);
    expect(told).toEqual([50, 50, 20, undefined]);
  });
});

test('a peer elsewhere is not told of our own machine or network', () => {
  const loopback = { host: '127.0.0.1', port: 6881 };
  const present = [loopback, ...peers(1), { host: '93.184.216.34', port: 6881 }];
  const told = (host: string) =>
    new ExchangePartner(EXCHANGE_MILLISECONDS).news(present, host, 0)?.added.map((peer) => peer.host);
  expect(told('93.184.216.35')).toEqual(['93.184.216.34']);
  expect(told('10.0.0.9')).toEqual(['10.1.0.1', '93.184.216.34']);
  expect(told('127.0.0.1')).toEqual(['127.0.0.1', '10.1.0.1', '93.184.216.34']);
});

describe('what a peer tells', () => {
  test('is looked at once an interval', () => {
    const partner = new ExchangePartner(EXCHANGE_MILLISECONDS);
    const say = (number: number, now: number) =>
      partner.believed({ added: peers(number), dropped: [] }, '10.0.0.9', now).length;
    expect([say(1, 0), say(2, 1), say(3, 30_000), say(4, 46_000)]).toEqual([1, 0, 0, 1]);
  });

  test.each<[string, number, string, boolean]>([
    ['93.184.216.34', 0, '93.184.216.35', false],
    ['93.184.216.34', 80, '93.184.216.35', true],
    ['127.0.0.1', 80, '93.184.216.35', false],
    ['127.0.0.1', 80, '10.0.0.1', false],
    ['127.0.0.1', 80, '127.0.0.1', true],
    ['::1', 80, '2606:2800:220::1', false],
    ['169.254.169.254', 80, '10.0.0.1', false],
    ['10.0.0.1', 80, '93.184.216.35', false],
    ['10.0.0.1', 80, '10.0.0.2', true],
    ['10.0.0.1', 80, '127.0.0.1', true],
    ['0.0.0.0', 80, '127.0.0.1', false],
    ['255.255.255.255', 80, '127.0.0.1', false],
    ['224.0.0.1', 80, '127.0.0.1', false],
    ['ff02::1', 80, '::1', false],
  ])('%s:%d told by %s: %s', (host, port, from, worth) => {
    expect(isWorthADial({ host, port }, from)).toBe(worth);
  });
});
