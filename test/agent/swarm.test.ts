// Agents, a tracker and a publisher on loopback: from a stream of bytes to read-only files on every node.
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { until } from '../base/until.ts';
import { UID } from './fake-cluster.ts';
import { looked } from './harness.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.close());

test('content that was published on one node is held, active and read-only on three', async () => {
  world = await World.open(['a', 'b', 'c']);
  const files = [
    { path: 'weights/large.bin', bytes: randomBytes(3_000_000) },
    { path: 'bin/run', bytes: Buffer.from('#!/bin/sh\n'), executable: true },
    { path: 'empty', bytes: Buffer.alloc(0) },
  ];
  const object = await world.distribute('a', files);
  await world.untilStatus(['a', 'b', 'c'], object, { phase: 'Held', active: true });
  const { revision, infoHash, sizeBytes } = object.spec;
  expect(sizeBytes).toBe(3_000_010);
  const { cluster } = world.agent('b');
  await until('the revision is active', () => cluster.status?.revisions?.[0]?.active === true);
  expect(cluster.status?.revisions).toEqual([
    {
      namespace: 'ml',
      distribution: 'model',
      uid: UID,
      revision,
      phase: 'Held',
      active: true,
      heldAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    },
  ]);
  for (const { root, url } of world.agents.values()) {
    const folder = join(root, 'by-name', 'ml', 'model', 'current');
    expect(await readlink(folder)).toBe(revision);
    for (const { path, bytes } of files)
      expect((await readFile(join(folder, path))).equals(bytes)).toBe(true);
    const mode = async (path: string) => ((await stat(join(folder, path))).mode & 0o7777).toString(8);
    expect(await mode('weights/large.bin')).toBe('444');
    expect(await mode('bin/run')).toBe('555');
    expect(await mode('')).toBe('555');
    expect(await mode('weights')).toBe('555');
    // Every holder serves the metainfo, and it is the one that the info hash names.
    const torrent = await (await fetch(`${url}/torrents/${infoHash}.torrent`)).bytes();
    expect(createHash('sha1').update(torrent.subarray(7, -1)).digest('hex')).toBe(infoHash);
  }
  // The bytes left the first node and crossed to the others once each, or came from one another.
  const totals = [...world.agents.values()].map(({ agent }) => agent.engine.totals());
  const sum = (key: 'uploadedBytes' | 'downloadedBytes') => totals.reduce((all, each) => all + each[key], 0);
  expect(totals[0]?.downloadedBytes).toBe(0);
  expect(sum('downloadedBytes') - totals.reduce((all, each) => all + each.wastedBytes, 0)).toBe(
    2 * sizeBytes,
  );
  expect(sum('uploadedBytes')).toBeLessThan(2.2 * sizeBytes);
});

test('a node that comes later gets it with the source and the first holder gone', async () => {
  world = await World.open(['a', 'b']);
  const bytes = randomBytes(1_000_000);
  const object = await world.distribute('a', [{ path: 'file', bytes }]);
  await world.untilStatus(['b'], object, { phase: 'Held' });
  await world.agent('a').agent.close();
  world.agents.delete('a');
  const { root } = await world.start('c');
  // The tracker of this world asks the port of the first holder: the metainfo comes from its cache.
  await world.untilStatus(['c'], object, { phase: 'Held', active: true });
  expect((await readFile(join(root, 'by-name/ml/model/current/file'))).equals(bytes)).toBe(true);
});

test('a node that the placement leaves out holds nothing, and begins when it is labelled', async () => {
  world = await World.open(['a', 'b']);
  const placement = { nodeSelector: { gpu: 'true' } };
  world.agent('a').cluster.labels = { gpu: 'true' };
  const object = await world.distribute('a', [{ path: 'file', bytes: randomBytes(100_000) }], {
    spec: { placement },
  });
  await world.untilStatus(['a'], object, { phase: 'Held', active: true });
  const { agent, cluster } = world.agent('b');
  await looked(world.agent('b'));
  expect(agent.engine.status()).toEqual([]);
  cluster.labels = { gpu: 'true' };
  agent.clusterChanged();
  await world.untilStatus(['b'], object, { phase: 'Held', active: true });
  // One that is left out again keeps what it has.
  cluster.labels = {};
  await looked(world.agent('b'));
  expect(agent.root.current(UID)).toBe(object.spec.revision);
});

test('two distributions at once, of the same content, are two swarms', async () => {
  world = await World.open(['a', 'b']);
  const other = '0b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c33';
  const bytes = randomBytes(500_000);
  const first = await world.distribute('a', [{ path: 'file', bytes }]);
  const second = await world.distribute('a', [{ path: 'file', bytes }], {
    reservation: { uid: other, distributionName: 'copy' },
    spec: { distribution: 'copy' },
  });
  expect(second.spec.revision).toBe(first.spec.revision);
  expect(second.spec.infoHash).not.toBe(first.spec.infoHash);
  await world.untilStatus(['a', 'b'], first, { phase: 'Held', active: true });
  await world.untilStatus(['a', 'b'], second, { phase: 'Held', active: true });
});

test('an update while the first is still on its way: the newest is fetched, the other one is not', async () => {
  world = await World.open(['a', 'b']);
  const slow = { limits: { download: '200k' } };
  const first = await world.distribute('a', [{ path: 'file', bytes: randomBytes(2_000_000) }], {
    spec: slow,
  });
  await world.untilStatus(['b'], first, { phase: 'Downloading' });
  const bytes = randomBytes(300_000);
  const second = await world.distribute('a', [{ path: 'file', bytes }], {
    reservation: { attempt: 2, sourceState: 'f'.repeat(16) },
    spec: { sequence: 2, activation: { epoch: 2 } },
  });
  await world.untilStatus(['a', 'b'], second, { phase: 'Held', active: true });
  const { agent, root } = world.agent('b');
  expect((await readFile(join(root, 'by-name/ml/model/current/file'))).equals(bytes)).toBe(true);
  expect(agent.root.isHeld(UID, first.spec.revision)).toBe(false);
  await until('there is a transfer', () => [...agent.engine.transfers].length === 1);
});
