// Nodes that lose the network, or everything.
import { afterAll, expect } from '@jest/globals';
import { downloadingNode, fromFiles } from './harness/distribution.ts';
import { disconnect } from './harness/environment.ts';
import { asOnNode, filesOn, nodeNames, nodeOf } from './harness/nodes.ts';
import { faultScenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

faultScenario(
  'a node cut off in mid-download completes once it is back, and the others do not wait for it',
  async (world, cluster) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'cut-off', 48 * MEBIBYTE)];
    const distribution = world.distribution('cut-off');
    await distribution.apply(fromFiles(files, { limits: { download: '4Mi' } }));
    const node = await downloadingNode(distribution, await nodeOf(world.namespace, 'source'));
    world.finally(() => cluster.rejoinNode(node));
    await cluster.cutNode(node);
    await distribution.until('the others have it', ({ status }) => (status?.nodes?.held ?? 0) >= 2, 90);
    await cluster.rejoinNode(node);
    await until(
      'the node that was away has it',
      () => filesOn(node, world.namespace, 'cut-off'),
      (found) => found['content.bin'] === files[0]!.sha256,
      120,
    );
    await distribution.waitReady();
  },
  { timeoutSeconds: 300 },
);

faultScenario(
  'a node that loses power in mid-download completes after it starts again',
  async (world, cluster) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'power-cut', 48 * MEBIBYTE)];
    const distribution = world.distribution('power-cut');
    await distribution.apply(fromFiles(files, { limits: { download: '4Mi' } }));
    const node = await downloadingNode(distribution, await nodeOf(world.namespace, 'source'));
    await cluster.crashNode(node);
    await cluster.reviveNode(node);
    await until(
      'the node has it',
      () => filesOn(node, world.namespace, 'power-cut'),
      (found) => found['content.bin'] === files[0]!.sha256,
      150,
    );
    for (const each of await nodeNames())
      expect(await filesOn(each, world.namespace, 'power-cut')).toEqual(asOnNode(files));
  },
  { timeoutSeconds: 300 },
);

faultScenario(
  'nodes on slow links get the content at the rate of the links, and the source is read once all the same',
  async (world, cluster) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'slow-links', 24 * MEBIBYTE)];
    const nodes = await nodeNames();
    for (const node of nodes) {
      world.finally(() => cluster.unshapeNode(node));
      await cluster.shapeNode(node, '40mbit');
    }
    const distribution = world.distribution('slow-links');
    await distribution.apply(fromFiles(files));
    await distribution.waitReady(120);
    expect((await source.sent(files[0]!)).bytes).toBe(files[0]!.sizeBytes);
  },
);
