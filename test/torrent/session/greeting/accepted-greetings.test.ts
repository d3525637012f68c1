import { beforeEach, expect, test } from '@jest/globals';
import { AcceptedGreetings } from '../../../../torrent/session/greeting/accepted-greetings.ts';
import type { Greeting } from '../../../../torrent/session/greeting/greeting.ts';

const MOST = 8;

let ours: Set<string>;
let greetings: AcceptedGreetings;

beforeEach(() => {
  ours = new Set();
  greetings = new AcceptedGreetings((host) => ours.has(host));
});

const greetingOf = (host: string) => ({ address: { host, port: 1 } }) as Greeting;

/** One more socket of the host, if it gets a place; whoever has to end for it ends. */
function open(host: string): Greeting | undefined {
  const place = greetings.place(host, MOST);
  if (place === 'none') return undefined;
  if (place !== 'free') greetings.delete(place);
  const greeting = greetingOf(host);
  greetings.add(greeting);
  return greeting;
}

const hosts = () => [...greetings].map(({ address }) => address.host);

test('a host that opens many sockets keeps no other out', () => {
  for (let i = 0; i < 20; i++) open('192.0.2.1');
  expect(hosts()).toEqual(Array(6).fill('192.0.2.1'));
  for (const host of ['192.0.2.2', '192.0.2.3', '192.0.2.4']) expect(open(host)).toBeDefined();
  expect(hosts().sort()).toEqual([...Array(3).fill('192.0.2.1'), '192.0.2.2', '192.0.2.3', '192.0.2.4']);
});

test('strangers of one IPv6 /64 count as one host', () => {
  for (let i = 1; i <= 20; i++) open(`2001:db8::${i}`);
  expect(open('192.0.2.1')).toBeDefined();
  expect(open('2001:db8::99')).toBeUndefined();
});

test('a quarter of the places is for hosts that are ours, of which each counts singly', () => {
  for (let i = 0; i < 20; i++) open('192.0.2.1');
  const nodes = ['2001:db8::1', '2001:db8::2', '2001:db8::3'];
  ours = new Set(nodes);
  expect(nodes.map((node) => open(node) !== undefined)).toEqual([true, true, false]);
  expect(hosts().filter((host) => ours.has(host))).toEqual(['2001:db8::1', '2001:db8::2']);
});

test('hosts that are ours take what is free besides, and give it to strangers who come', () => {
  const nodes = Array.from({ length: MOST }, (_, i) => `2001:db8::${i + 1}`);
  ours = new Set(nodes);
  for (const node of nodes) expect(open(node)).toBeDefined();
  for (let i = 1; i <= 7; i++) expect(open(`192.0.2.${i}`) !== undefined).toBe(i <= 6);
  expect(hosts().filter((host) => ours.has(host))).toHaveLength(2);
  expect(hosts()).toHaveLength(MOST);
});

test('whoever is found to be ours after it came is forgotten where it was counted', () => {
  const greeting = open('2001:db8::1') as Greeting;
  ours.add('2001:db8::1');
  expect(greetings.delete(greeting)).toBe(true);
  expect(greetings.delete(greeting)).toBe(false);
  expect(hosts()).toEqual([]);
  for (let i = 0; i < MOST; i++) open('2001:db8::1');
  expect(hosts()).toHaveLength(MOST);
});
