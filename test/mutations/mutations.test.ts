// The list of changes that `npm run mutate` makes: whether it fits the sources. To run it takes too long for here.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { mutate, readMutations } from './mutation.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const ROOMS = ['torrent/swarm', 'torrent/wire', 'torrent/storage'];
const mutations = readMutations();

test.each(mutations)('$what: $file', (mutation) => {
  expect(() => mutate(mutation, readFileSync(join(ROOT, mutation.file), 'utf8'))).not.toThrow();
});

test('no two are the same', () => {
  const places = mutations.map(({ file, find, put }) => JSON.stringify([file, find, put]));
  expect(new Set(places).size).toBe(places.length);
});

describe.each(ROOMS)('every number that has a name in %s is changed', (room) => {
  const files = readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  test.each(files)('%s', (name) => {
    const file = join(room, name);
    const text = readFileSync(join(ROOT, file), 'utf8');
    const names = [...text.matchAll(/^(?:export )?const ([A-Z][A-Z_\d]*) = [-\d(]/gm)].map(
      (match) => match[1],
    );
    const changed = mutations.filter((mutation) => mutation.file === file).map(({ find }) => find);
    const left = names.filter((constant) => !changed.some((find) => find.includes(`${constant} = `)));
    expect(left).toEqual([]);
  });
});
