// Two agents, a tracker and a publisher on loopback: from a stream of bytes to read-only files on both.
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import type { Publication } from '../../api/index.ts';
import { OPEN_LIST } from '../../tracker/torrents.ts';
import { type RunningTracker, startTracker } from '../../tracker/tracker.ts';
import { FakeCluster, reservationOf, revisionOf, UID } from './fake-cluster.ts';
import {
  removeTemporaryFolders,
  runTestAgent,
  type TestAgent,
  TestLogger,
  TestPublisher,
  until,
} from './harness.ts';

const agents: TestAgent[] = [];
let tracker: RunningTracker | undefined;

afterEach(async () => {
  await Promise.all(agents.splice(0).map(({ agent }) => agent.close()));
  await tracker?.close();
  tracker = undefined;
  await removeTemporaryFolders();
});

async function start(name: string, options: Parameters<typeof runTestAgent>[1] = {}): Promise<TestAgent> {
  const agent = await runTestAgent(new FakeCluster(name), options);
  agents.push(agent);
  return agent;
}

async function startTrackerFor(first: TestAgent): Promise<string> {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    holderPort: first.agent.httpPort,
    holderWaitMilliseconds: 2000,
    logger: new TestLogger(),
  });
  return `127.0.0.1:${tracker.port}`;
}

const logs = () =>
  agents.map(({ logger, cluster }) => `${cluster.nodeName}\n${logger.lines.join('\n')}`).join('\n\n');

test('content that was published on one node is held, active and read-only on another', async () => {
  const a = await start('a');
  const b = await start('b');
  const address = await startTrackerFor(a);
  for (const { cluster, agent } of [a, b]) {
    cluster.trackerNames = [address];
    agent.clusterChanged();
  }
  a.cluster.reserve(reservationOf());
  a.agent.clusterChanged();
  await until(() => a.cluster.status?.publishing?.[0]?.phase === 'Reserved');

  const large = randomBytes(3_000_000);
  const files = [
    { path: 'weights/large.bin', bytes: large },
    { path: 'bin/run', bytes: Buffer.from('#!/bin/sh\n'), executable: true },
    { path: 'empty', bytes: Buffer.alloc(0) },
  ];
  await new TestPublisher(a.url).publish(files);
  await until(() => a.cluster.status?.publishing?.[0]?.phase === 'Published', logs);
  const publication = a.cluster.status?.publishing?.[0] as Publication;
  expect(publication).toMatchObject({ uid: UID, attempt: 1, sizeBytes: 3_000_010, files: 3 });
  const revision = revisionOf(publication);
  for (const { cluster, agent } of [a, b]) {
    cluster.revisionObjects = [revision];
    agent.clusterChanged();
  }

  const name = revision.spec.revision;
  await until(() => b.cluster.status?.revisions?.[0]?.active === true, logs);
  expect(b.cluster.status?.revisions).toEqual([
    expect.objectContaining({
      namespace: 'ml',
      distribution: 'model',
      uid: UID,
      revision: name,
      phase: 'Held',
      active: true,
    }),
  ]);
  for (const { root } of [a, b]) {
    const folder = join(root, 'by-name', 'ml', 'model', 'current');
    expect(await readlink(folder)).toBe(name);
    for (const { path, bytes } of files)
      expect((await readFile(join(folder, path))).equals(bytes)).toBe(true);
    const mode = async (path: string) => ((await stat(join(folder, path))).mode & 0o7777).toString(8);
    expect(await mode('weights/large.bin')).toBe('444');
    expect(await mode('bin/run')).toBe('555');
    expect(await mode('')).toBe('555');
    expect(await mode('weights')).toBe('555');
  }
  expect(
    createHash('sha1')
      .update(
        (await (await fetch(`${b.url}/torrents/${publication.infoHash}.torrent`)).bytes()).subarray(7, -1),
      )
      .digest('hex'),
  ).toBe(publication.infoHash);
});
