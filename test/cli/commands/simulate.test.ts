// `enxame simulate` as a process: what it prints, what it writes, and what it says about bad options.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { enxame } from '../enxame-process.ts';

const SMALL = ['simulate', '--nodes', '6', '--pieces', '20'];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-simulate-'));
});

afterEach(() => rm(folder, { recursive: true }));

test('prints a table', async () => {
  const { code, stdout, stderr } = await enxame(SMALL).ended;
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^Swarm +1 seed and 6 nodes, cluster policy, all neighbours each$/m);
  expect(stdout).toMatch(/^Links +1 Gbit\/s each way; 0.5 ms from node to node$/m);
  expect(stdout).not.toMatch(/^Comings and goings/m);
  expect(stdout).toMatch(/^Last node +[0-9.]+ s \([0-9.]+ × the ideal\)$/m);
  expect(stdout).toMatch(/^Complete +6 nodes; 0 left, 0 stayed behind$/m);
});

test('prints the same JSON for the same seed, and another one for another', async () => {
  const run = async (...more: string[]) => (await enxame([...SMALL, '--json', ...more]).ended).stdout;
  const [first, second, other] = await Promise.all([run(), run(), run('--seed', '2')]);
  expect(second).toBe(first);
  expect(other).not.toBe(first);
  const figures = JSON.parse(first as string);
  expect(figures).toMatchObject({ nodes: 6, pieces: 20, complete: 6, left: 0, incomplete: 0 });
  expect(figures.makespanRatio).toBeGreaterThanOrEqual(1);
  expect(figures.timeline.at(-1).complete).toBe(6);
});

test('tells what goes between zones, and that less does where the tracker knows them', async () => {
  const zoned = ['simulate', '--nodes', '90', '--pieces', '10', '--zones', '3'];
  const run = async (...more: string[]) => (await enxame([...zoned, ...more]).ended).stdout;
  const [unknown, known] = await Promise.all([run('--json'), run('--zone-share', '66%', '--json')]);
  const [without, with_] = [JSON.parse(unknown as string), JSON.parse(known as string)];
  expect([without.zones, without.complete, with_.complete]).toEqual([3, 90, 90]);
  expect(with_.crossZoneBytes).toBeLessThan(without.crossZoneBytes);
  expect(await run()).toMatch(/^Between zones +[0-9.]+ MiB, 6[0-9.]+ % of all bytes; 3 zones$/m);
});

test('tells what was asked for besides nodes that come at once and stay', async () => {
  const { stdout } = await enxame([
    ...SMALL,
    ...['--up', '1M', '--delay-spread', '3', '--churn', '50%', '--late', '10%', '--seed-loss'],
  ]).ended;
  expect(stdout).toMatch(/^Links +1 Gbit\/s down, 8 Mbit\/s up; 0.5 to 3.5 ms from node to node$/m);
  expect(stdout).toMatch(
    /^Comings and goings +50 % of the nodes vanish, 10 % of the nodes come late, the seed is lost once every piece is out$/m,
  );
});

test('waits for slow uplinks', async () => {
  const { code, stdout } = await enxame(['simulate', '--nodes', '40', '--pieces', '1', '--up', '100k']).ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Complete +40 nodes; 0 left, 0 stayed behind$/m);
});

test('writes a page that loads nothing from elsewhere', async () => {
  const path = join(folder, 'page.html');
  const { code, stderr } = await enxame([...SMALL, '--html', path]).ended;
  expect([code, stderr]).toEqual([0, '']);
  const page = await readFile(path, 'utf8');
  expect(page).toMatch(/^<!doctype html>/);
  expect(page.match(/<polyline /g)).toHaveLength(5);
  expect(page).not.toMatch(/NaN|Infinity|undefined|https?:|<script|<link|src=|url\(/);
});

describe('bad options', () => {
  test.each([
    ['--nodes', '0', '--nodes is 0; it must be a whole number from 1 to 100000'],
    ['--pieces', '1.5', 'it must be a whole number'],
    ['--neighbours', '0', '--neighbours is 0'],
    ['--piece-length', '12', '--piece-length is 12'],
    ['--block-length', '1Mi', '--block-length is 1048576'],
    ['--rate', '0', '--rate is 0; it must be a positive number of bytes per second'],
    ['--up', 'fast', 'it must be a number of bytes per second'],
    ['--delay', '-1', 'it must be a number of milliseconds'],
    ['--churn', '95%', 'it must be a share from 0 to 0.9'],
    ['--zones', '8', '--zones is 8; it must be a whole number from 1 to 7'],
    ['--zone-share', '0.5', 'need several zones; add --zones NUMBER'],
    ['--policy', 'random', 'Allowed choices are cluster, classic'],
    ['--html', '/nowhere/page.html', 'cannot write the page'],
  ])('%s %s', async (option, value, message) => {
    const { code, stdout, stderr } = await enxame([...SMALL, option, value]).ended;
    expect([code, stdout]).toEqual([option === '--html' ? 1 : 2, '']);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
