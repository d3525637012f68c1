// Content that does not fit is refused before anything is written, with numbers.
import { afterAll, expect } from '@jest/globals';
import { fromFiles } from './harness/distribution.ts';
import { disconnect, kubectl } from './harness/environment.ts';
import { filesOn, nodeNames } from './harness/nodes.ts';
import { scenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

scenario(
  'a node with too little room says so with numbers, and takes part when room appears',
  async (world) => {
    const [node = '', ...others] = await nodeNames();
    const setCapacity = (capacity: string | null) =>
      kubectl([
        ...['patch', 'nodecontent', node, '--type=merge'],
        ...['--patch', JSON.stringify({ spec: { storage: { capacity } } })],
      ]);
    world.finally(async () => {
      await setCapacity(null);
    });
    await setCapacity('4Mi');
    const source = await world.startSource();
    const file = source.file('content.bin', 'room', 16 * MEBIBYTE);
    const distribution = world.distribution('room');
    await distribution.apply(fromFiles([file], { availability: { minAvailable: 2 } }));
    await distribution.waitReady();
    for (const other of others)
      expect(await filesOn(other, world.namespace, 'room')).toEqual({ 'content.bin': file.sha256 });
    const { status } = await distribution.until(
      'the failed node is named',
      ({ status: now }) => now?.failedNodes?.length === 1,
    );
    expect(status?.failedNodes?.[0]).toMatchObject({ name: node, reason: 'StorageLow' });
    expect(status?.failedNodes?.[0]?.message).toMatch(/^needs 16\.0 MiB, .+ free$/);
    expect(await kubectl(['get', 'nodecontent', node])).toMatch(/True/);

    await setCapacity(null);
    await until(
      'the node has it',
      () => filesOn(node, world.namespace, 'room'),
      (files) => files['content.bin'] === file.sha256,
      120,
    );
  },
  { timeoutSeconds: 300 },
);

scenario('content that fits on no node is refused before the source is read', async (world) => {
  const source = await world.startSource();
  const file = source.file('content.bin', 'huge', 1024 * 1024 * MEBIBYTE);
  expect(file.sizeBytes).toBeGreaterThan(2 ** 39);
  const distribution = world.distribution('huge');
  await distribution.apply(fromFiles([file]));
  const condition = await until(
    'Published says so',
    () => distribution.condition('Published'),
    (published) => published?.reason === 'InsufficientStorage',
  );
  expect(condition?.message).toMatch(/1\.0 TiB/);
  expect((await source.sent(file)).bytes).toBe(0);
});
