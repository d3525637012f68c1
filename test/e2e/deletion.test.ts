// Deleting a distribution removes its files and every object, and nothing old comes back under its name.
import { afterAll, expect } from '@jest/globals';
import { fromFiles } from './harness/distribution.ts';
import { disconnect, kubectl } from './harness/environment.ts';
import { asOnNode, filesOn, listOn, nodeNames, nodeOf } from './harness/nodes.ts';
import { faultScenario, scenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

scenario('deleting it removes the files and every object', async (world) => {
  const { namespace } = world;
  const source = await world.startSource();
  const distribution = world.distribution('removed');
  await distribution.apply(
    fromFiles([source.file('content.bin', 'removed', 2 * MEBIBYTE)], { claim: { name: 'removed' } }),
  );
  await distribution.waitReady();
  const uid = await distribution.uid();
  expect(await kubectl(['get', 'persistentvolumes', '-o', 'name'])).toContain(uid);
  await distribution.delete();
  for (const node of await nodeNames()) {
    await until(
      `${node} has no files of it`,
      () => listOn(node, 'content'),
      (names) => !names.includes(uid),
    );
    expect(await listOn(node, `by-name/${namespace}`)).toEqual([]);
    for (const folder of ['staging/download', 'staging/ingest', 'state/content'])
      expect(await listOn(node, folder)).not.toContain(uid);
  }
  await until(
    'no object of it is left',
    () => kubectl(['-n', namespace, 'get', 'cdist,crev,pvc', '-o', 'name']),
    (names) => names === '',
  );
  await until(
    'no volume of it is left',
    () => kubectl(['get', 'pv', '-o', 'name']),
    (names) => !names.includes(uid),
  );
  await until(
    'no NodeContent speaks of it',
    () => kubectl(['get', 'nodecontents', '-o', 'json']),
    (text) => !text.includes(uid),
  );
  const pods = await kubectl(['-n', namespace, 'get', 'pods', '-o', 'name']);
  expect(pods.trim()).toBe('pod/source');
});

scenario('one made anew under the same name never shows old files', async (world) => {
  const source = await world.startSource();
  const old = source.file('content.bin', 'before', 2 * MEBIBYTE);
  const anew = source.file('content.bin', 'after', 2 * MEBIBYTE);
  const distribution = world.distribution('reborn');
  await distribution.apply(fromFiles([old]));
  await distribution.waitReady();
  // Slow enough for the agents to be done with the old one: they wait 10 s after a deletion.
  await source.behave(anew, { rate: MEBIBYTE / 12 });
  await distribution.delete();
  await distribution.apply(fromFiles([anew]));
  const seen: string[] = [];
  const [node = ''] = await nodeNames();
  await until(
    'the new content is there',
    async () => {
      const files = await filesOn(node, world.namespace, 'reborn');
      seen.push(files['content.bin'] ?? 'none');
      return files['content.bin'];
    },
    (hash) => hash === anew.sha256,
  );
  // What was there may be seen until the agent hears of the deletion, and never again after that.
  const states = seen.filter((hash, index) => hash !== seen[index - 1]);
  expect(states.slice(states.lastIndexOf(old.sha256) + 1)).toEqual(['none', anew.sha256]);
  expect(states.filter((hash) => hash === old.sha256).length).toBeLessThanOrEqual(1);
  await distribution.waitReady();
  for (const each of await nodeNames())
    expect(await filesOn(each, world.namespace, 'reborn')).toEqual(asOnNode([anew]));
});

faultScenario(
  'an agent that was away while it was deleted and made anew shows the new files only',
  async (world, cluster) => {
    const source = await world.startSource();
    const old = source.file('content.bin', 'before', MEBIBYTE);
    const anew = source.file('content.bin', 'after', MEBIBYTE);
    const distribution = world.distribution('reborn');
    await distribution.apply(fromFiles([old]));
    await distribution.waitReady();
    const sourceNode = await nodeOf(world.namespace, 'source');
    const node = (await nodeNames()).find((name) => name !== sourceNode)!;
    world.finally(() => cluster.rejoinNode(node));
    await cluster.cutNode(node);
    await distribution.delete();
    await distribution.apply(fromFiles([anew], { availability: { minAvailable: 1 } }));
    // The node that is away may be the one elected to read the source, until it counts as away.
    await distribution.waitReady(180);
    await cluster.rejoinNode(node);
    await until(
      'the node has the new files',
      () => filesOn(node, world.namespace, 'reborn'),
      (files) => files['content.bin'] === anew.sha256,
      120,
    );
  },
  { timeoutSeconds: 420 },
);
