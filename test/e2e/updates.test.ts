// New revisions: from a spec that changes, also while the one before still runs.
import { afterAll, expect } from '@jest/globals';
import { fromFiles } from './harness/distribution.ts';
import { apply, disconnect } from './harness/environment.ts';
import { asOnNode, filesOn, listOn, nodeNames } from './harness/nodes.ts';
import { scenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

scenario('each new revision is fetched beside the old one; one old revision is kept', async (world) => {
  const source = await world.startSource();
  const distribution = world.distribution('updated');
  const [node = ''] = await nodeNames();
  for (const version of ['v1', 'v2', 'v3']) {
    const files = [source.file('content.bin', version, 4 * MEBIBYTE)];
    await distribution.apply(fromFiles(files));
    await distribution.waitReady();
    for (const each of await nodeNames())
      expect(await filesOn(each, world.namespace, 'updated')).toEqual(asOnNode(files));
  }
  const revisions = await until(
    'two revisions are left',
    () => distribution.revisions(),
    (left) => left.length === 2,
  );
  expect(revisions.map(({ spec }) => spec.sequence)).toEqual([2, 3]);
  const folder = `content/${await distribution.uid()}`;
  const kept = ['current', ...revisions.map(({ spec }) => spec.revision)].sort();
  await until(
    'the oldest is removed from the disk',
    () => listOn(node, folder),
    (names) => names.length === 3,
  );
  expect(await listOn(node, folder)).toEqual(kept);
});

scenario('an update while the first revision is still being fetched ends with the update', async (world) => {
  const source = await world.startSource();
  const first = source.file('content.bin', 'first', 48 * MEBIBYTE);
  const second = source.file('content.bin', 'second', 8 * MEBIBYTE);
  const distribution = world.distribution('overtaken');
  await distribution.apply(fromFiles([first], { limits: { download: '2Mi' } }));
  await distribution.until('nodes download', ({ status }) => (status?.nodes?.downloading ?? 0) > 0);
  await distribution.apply(fromFiles([second]));
  await distribution.waitReady();
  for (const node of await nodeNames())
    expect(await filesOn(node, world.namespace, 'overtaken')).toEqual(asOnNode([second]));
});

scenario('a ConfigMap becomes files, and a suspended distribution waits', async (world) => {
  const { namespace } = world;
  const data = { 'settings.json': '{"a": 1}\n', 'readme.txt': 'hello\n' };
  await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace }, data });
  const distribution = world.distribution('settings');
  const source = { configMap: { name: 'settings' } };
  await distribution.apply({ source, suspend: true });
  await distribution.until('it is suspended', ({ status }) =>
    Boolean(status?.conditions?.some(({ reason }) => reason === 'Suspended')),
  );
  expect(await distribution.publisherPods()).toEqual([]);
  await distribution.apply({ source, suspend: false });
  await distribution.waitReady();
  for (const node of await nodeNames())
    expect(Object.keys(await filesOn(node, namespace, 'settings')).sort()).toEqual(Object.keys(data).sort());
});
