// The chart is upgraded while agents work, and content stays where it is.
import { afterAll, expect } from '@jest/globals';
import { CHART, everythingReady, installChart } from './harness/chart.ts';
import { fromFiles } from './harness/distribution.ts';
import { disconnect, helm, kubectl } from './harness/environment.ts';
import { asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { podsOf } from './harness/pods.ts';
import { scenario } from './harness/scenario.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

scenario(
  'an upgrade replaces the agents in mid-download, and the download goes on',
  async (world) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'upgraded', 48 * MEBIBYTE)];
    const distribution = world.distribution('upgraded');
    await distribution.apply(fromFiles(files, { limits: { download: '3Mi' } }));
    await distribution.until('nodes download', ({ status }) => (status?.nodes?.downloading ?? 0) > 0);
    const before = new Set((await podsOf('agent')).map(({ metadata }) => metadata?.uid));
    const value = `agent.podAnnotations.test=${world.namespace}`;
    await installChart({ kubectl, helm }, CHART, [value]);
    await everythingReady({ kubectl });
    for (const { metadata } of await podsOf('agent')) expect(before.has(metadata?.uid)).toBe(false);
    await distribution.waitReady(120);
    for (const node of await nodeNames())
      expect(await filesOn(node, world.namespace, 'upgraded')).toEqual(asOnNode(files));
  },
  { timeoutSeconds: 300 },
);
