// The publisher and the agent, each as it is: one read of the source, whatever happens to the agent meanwhile.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { PublisherEnv } from '../../api/index.ts';
import { systemClock } from '../../base/index.ts';
import { runPublisher } from '../../publisher/main.ts';
import { until } from '../base/until.ts';
import { WebServer } from '../publisher/web-server.ts';
import { FakeCluster, reservationOf, SOURCE_STATE, UID } from './fake-cluster.ts';
import {
  closeTestAgents,
  logsOfTestAgents,
  openTestAgent,
  reserveOn,
  type TestAgent,
  TestLogger,
  temporaryFolder,
} from './harness.ts';

const FILES = { 'a.bin': randomBytes(700_000), 'b/c.bin': randomBytes(2_500_000) };
const SIZE = 3_200_000;

let web: WebServer;
beforeEach(async () => {
  web = await WebServer.start();
  for (const [path, content] of Object.entries(FILES)) web.files.set(`/${path}`, { content, etag: '"1"' });
});
afterEach(async () => {
  await web.stop();
  await closeTestAgents();
});

async function publish({ url }: TestAgent, logger = new TestLogger()): Promise<number> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'token'), 'good');
  const files = Object.keys(FILES).map((path) => ({ path, url: `${web.origin}/${path}` }));
  const sourceDispatcher = new Agent();
  const code = await runPublisher(
    {
      [PublisherEnv.IngestUrl]: url,
      [PublisherEnv.Uid]: UID,
      [PublisherEnv.Attempt]: '1',
      [PublisherEnv.SourceState]: SOURCE_STATE,
      [PublisherEnv.Source]: JSON.stringify({ http: { files } }),
      [PublisherEnv.SourceStallSeconds]: '5',
    },
    {
      signal: new AbortController().signal,
      logger,
      sourceDispatcher,
      // Its time-outs must not keep the test's process.
      clock: {
        ...systemClock,
        after(milliseconds, callback) {
          const timer = setTimeout(callback, milliseconds).unref();
          return () => clearTimeout(timer);
        },
      },
      tokenPath: join(folder, 'token'),
      terminationLogPath: join(folder, 'termination'),
    },
  );
  await sourceDispatcher.destroy();
  return code;
}

async function expectPublished({ agent, root }: TestAgent): Promise<void> {
  const [status] = agent.ingest.status();
  expect(status).toMatchObject({ phase: 'Published', files: 2, sizeBytes: SIZE });
  const revision = status?.digest?.slice(7, 19) ?? '';
  for (const [path, bytes] of Object.entries(FILES))
    expect((await readFile(join(root, 'content', UID, revision, path))).equals(bytes)).toBe(true);
}

test('the source is read once', async () => {
  const agent = await openTestAgent(new FakeCluster('a'));
  await reserveOn(agent, reservationOf());
  expect(await publish(agent)).toBe(0);
  await expectPublished(agent);
  expect(web.sentBytes).toBe(SIZE);
});

test('a source that breaks off and an agent that restarts meanwhile do not make it read twice', async () => {
  const first = await openTestAgent(new FakeCluster('a'));
  await reserveOn(first, reservationOf());
  const large = web.files.get('/b/c.bin')!;
  // The first answer goes silent half-way: then the agent is restarted on its port.
  large.stallAfter = [1_000_000];
  const logger = new TestLogger();
  const publishing = publish(first, logger);
  await until(logsOfTestAgents, () => first.agent.ingest.writtenBytes >= 1_600_000);
  const { cluster, root, agent } = first;
  const { httpPort } = agent;
  await agent.close();
  const second = await openTestAgent(cluster, { root, httpPort });
  await until('the other agent has the publication', () => second.agent.ingest.status().length === 1);
  expect(await publishing).toBe(0);
  await expectPublished(second);
  expect(web.sentBytes / SIZE).toBeLessThan(1.05);
});

test('a node without room tells the publisher, who ends with that reason', async () => {
  const cluster = new FakeCluster('a');
  cluster.content = { ...cluster.content!, spec: { storage: { capacity: '1Mi' } } };
  const agent = await openTestAgent(cluster);
  await reserveOn(agent, reservationOf());
  expect(await publish(agent)).toBe(1);
  expect(agent.agent.ingest.status()).toEqual([
    expect.objectContaining({
      phase: 'Failed',
      reason: 'InsufficientStorage',
      message: 'needs 3.1 MiB, 1.0 MiB free',
    }),
  ]);
  expect(web.sentBytes).toBe(0);
});
