// Which nodes get the content, and those that come later.
import { afterAll, expect } from '@jest/globals';
import { fromFiles } from './harness/distribution.ts';
import { disconnect, kubectl } from './harness/environment.ts';
import { asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { scenario, type World } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

async function label(world: World, node: string, key: string): Promise<void> {
  world.finally(async () => {
    await kubectl(['label', 'node', node, `${key}-`]);
  });
  await kubectl(['label', 'node', node, `${key}=yes`, '--overwrite']);
}

scenario('a selector picks two of three, and a node labelled later gets it from its peers', async (world) => {
  const key = `test.enxame.dev/${world.namespace}`;
  const [first = '', second = '', third = ''] = await nodeNames();
  await label(world, first, key);
  await label(world, second, key);
  const source = await world.startSource();
  const files = [source.file('placed.bin', 'placed', 16 * MEBIBYTE)];
  const distribution = world.distribution('placed');
  await distribution.apply(fromFiles(files, { placement: { nodeSelector: { [key]: 'yes' } } }));
  await distribution.waitReady();
  expect((await distribution.get()).status?.nodes).toMatchObject({ selected: 2, held: 2, active: 2 });
  for (const node of [first, second])
    expect(await filesOn(node, world.namespace, 'placed')).toEqual(asOnNode(files));
  expect(await filesOn(third, world.namespace, 'placed')).toEqual({});

  await source.stop();
  await label(world, third, key);
  await distribution.until('three nodes have it', ({ status }) => status?.nodes?.active === 3);
  expect(await filesOn(third, world.namespace, 'placed')).toEqual(asOnNode(files));
  // Ready is not lost while the third fetches: it is Degraded that tells.
  expect(await distribution.condition('Ready')).toMatchObject({ status: 'True' });
});

scenario('affinity excludes a node by name', async (world) => {
  const [first = '', ...others] = await nodeNames();
  const source = await world.startSource();
  const files = [source.file('affine.bin', 'affine', MEBIBYTE)];
  const distribution = world.distribution('affine');
  const matchFields = [{ key: 'metadata.name' as const, operator: 'NotIn' as const, values: [first] }];
  const nodeAffinity = { nodeSelectorTerms: [{ matchFields }] };
  await distribution.apply(fromFiles(files, { placement: { nodeAffinity } }));
  await distribution.waitReady();
  expect(await filesOn(first, world.namespace, 'affine')).toEqual({});
  for (const node of others) expect(await filesOn(node, world.namespace, 'affine')).toEqual(asOnNode(files));
});

scenario('where no node matches, the object says so', async (world) => {
  const source = await world.startSource();
  const distribution = world.distribution('nowhere');
  const files = [source.file('nowhere.bin', 'nowhere', 1)];
  await distribution.apply(fromFiles(files, { placement: { nodeSelector: { 'no.such/label': 'x' } } }));
  const ready = await until(
    'Ready is False',
    () => distribution.condition('Ready'),
    (condition) => condition?.status === 'False',
  );
  expect(ready).toMatchObject({ reason: 'NoNodes' });
});
