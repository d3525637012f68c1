// The agent's HTTP port, but for ingest.
import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { FakeCluster } from '../fake-cluster.ts';
import { closeTestAgents, openTestAgent } from '../harness.ts';
import { World } from '../world.ts';

let world: World | undefined;
afterEach(async () => {
  await (world?.close() ?? closeTestAgents());
  world = undefined;
});

test('it is alive at once, and ready once its NodeContent is there', async () => {
  const cluster = new FakeCluster('a');
  const content = cluster.content;
  cluster.content = undefined;
  const { url } = await openTestAgent(cluster);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const notReady = await fetch(`${url}/readyz`);
  expect([notReady.status, await notReady.text()]).toEqual([
    503,
    'the NodeContent of this node is not there yet',
  ]);
  cluster.content = content;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

test.each([
  'a'.repeat(40),
  `${'a'.repeat(40)}.torrent`,
  '../../etc/passwd',
  '%2e%2e%2f.torrent',
  `${'A'.repeat(40)}.torrent`,
])('there is no torrent %p', async (file) => {
  const { url } = await openTestAgent(new FakeCluster('a'));
  const response = await fetch(`${url}/torrents/${file}`);
  expect(response.status).toBe(404);
});

test('metrics are totals of the node, named as all of ours', async () => {
  world = await World.open(['a', 'b']);
  const bytes = randomBytes(400_000);
  const object = await world.distribute('a', [{ path: 'file', bytes }]);
  await world.untilStatus(['a', 'b'], object, { phase: 'Held', active: true });
  const metricsOf = async (name: string) => {
    const response = await fetch(`${world?.agent(name).url}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.every((line) => line.startsWith('enxame_agent_'))).toBe(true);
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
    );
  };
  const [a, b] = [await metricsOf('a'), await metricsOf('b')];
  expect(a.get('enxame_agent_revisions{phase="Held"}')).toBe(1);
  expect(a.get('enxame_agent_uploaded_bytes_total')).toBeGreaterThanOrEqual(400_000);
  expect(b.get('enxame_agent_downloaded_bytes_total')).toBeGreaterThanOrEqual(400_000);
  expect(b.get('enxame_agent_left_bytes')).toBe(0);
  expect(b.get('enxame_agent_storage_bytes{kind="used"}')).toBe(400_000);
  expect(b.get('enxame_agent_storage_bytes{kind="reserved"}')).toBe(0);
  expect(b.get('enxame_agent_resident_memory_bytes')).toBeGreaterThan(20e6);
});
