import { expect, test } from '@jest/globals';
import { Identities } from '../../../../torrent/swarm/peers/identities.ts';

// Written out, so that a changed number is noticed.
const MAX_KNOWN_IDENTITIES = 4096;

const nobody = () => false;

test('one identity has one number, also when it comes again', () => {
  const identities = new Identities();
  const a = identities.enter('a', nobody);
  const b = identities.enter('b', nobody);
  expect(b).not.toBe(a);
  expect(identities.enter('a', nobody)).toBe(a);
  expect([a, b].map((number) => identities.nameOf(number))).toEqual(['a', 'b']);
});

test('of ever new names those are forgotten that are gone for longest, and never those that are connected', () => {
  const identities = new Identities();
  const present = identities.enter('present', nobody);
  const first = identities.enter('first', nobody);
  for (let i = 0; i < 2 * MAX_KNOWN_IDENTITIES; i++) {
    identities.enter(`other ${i}`, (identity) => identity === 'present');
  }
  expect(identities.size).toBe(MAX_KNOWN_IDENTITIES);
  expect(identities.nameOf(present)).toBe('present');
  expect(identities.nameOf(first)).toBeUndefined();
  expect(identities.enter('first', nobody)).toBeGreaterThan(first);
});
