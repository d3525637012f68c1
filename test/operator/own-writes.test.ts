import { beforeEach, expect, test } from '@jest/globals';
import { OwnWrites } from '../../operator/own-writes.ts';
import type { ObjectCache } from '../../operator/ports.ts';
import { FakeClock } from '../base/fake-clock.ts';

interface Thing {
  metadata: { name: string; uid: string; resourceVersion: string };
}
const thing = (resourceVersion: string, uid = 'u1', name = 'a'): Thing => ({
  metadata: { name, uid, resourceVersion },
});

let watched: Map<string, Thing>;
let clock: FakeClock;
let writes: OwnWrites<Thing>;

beforeEach(() => {
  watched = new Map();
  clock = new FakeClock();
  const cache: ObjectCache<Thing> = { get: (key) => watched.get(key), list: () => [...watched.values()] };
  writes = new OwnWrites(cache, clock);
});

test('a write shows before the watch does', () => {
  watched.set('a', thing('9'));
  writes.wrote(thing('10'));
  expect(writes.get('a')?.metadata.resourceVersion).toBe('10');
  expect(writes.list()).toEqual([thing('10')]);
});

test('a made object shows before the watch does', () => {
  writes.wrote(thing('10'));
  expect(writes.get('a')).toEqual(thing('10'));
  expect(writes.list()).toEqual([thing('10')]);
});

test('what the watch shows later wins, by number and not by letters', () => {
  writes.wrote(thing('99'));
  watched.set('a', thing('100'));
  expect(writes.get('a')).toEqual(thing('100'));
  watched.delete('a');
  expect(writes.get('a')).toBeUndefined();
});

test('a deleted object is gone at once, and one made anew under its name shows', () => {
  watched.set('a', thing('9'));
  writes.deleted(thing('9'));
  expect(writes.get('a')).toBeUndefined();
  expect(writes.list()).toEqual([]);
  watched.set('a', thing('12', 'u2'));
  expect(writes.get('a')).toEqual(thing('12', 'u2'));
});

test('a write that the watch never confirms is forgotten', () => {
  writes.wrote(thing('10'));
  clock.skip(10_001);
  expect(writes.get('a')).toBeUndefined();
  expect(writes.list()).toEqual([]);
});
