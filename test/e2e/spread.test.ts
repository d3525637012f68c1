// The main job: content from one read of its source onto every node.
import { afterAll, expect } from '@jest/globals';
import { fromFiles } from './harness/distribution.ts';
import { disconnect, kubectl } from './harness/environment.ts';
import { asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { scenario } from './harness/scenario.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

scenario('every node gets 64 MiB, byte for byte, from one read of the source', async (world) => {
  const source = await world.startSource();
  const files = [
    source.file('model.bin', 'spread-1', 60 * MEBIBYTE),
    source.file('tokenizer/vocabulary.bin', 'spread-2', 4 * MEBIBYTE),
    source.file('tokenizer/empty', 'spread-3', 0),
    source.file('ünïcode name.txt', 'spread-4', 1),
  ];
  const distribution = world.distribution('spread');
  await distribution.apply(fromFiles(files));
  await distribution.waitReady();
  const nodes = await nodeNames();
  expect(nodes.length).toBeGreaterThanOrEqual(2);
  for (const node of nodes) expect(await filesOn(node, world.namespace, 'spread')).toEqual(asOnNode(files));
  for (const file of files) expect((await source.sent(file)).bytes).toBe(file.sizeBytes);

  const { status } = await distribution.get();
  expect(status).toMatchObject({
    content: { sizeBytes: 64 * MEBIBYTE + 1, files: 4 },
    nodes: { selected: nodes.length, held: nodes.length, active: nodes.length, failed: 0 },
    progress: { percent: 100 },
  });
  expect(status?.revision?.active).toBe(status?.revision?.desired);
  const line = await kubectl(['-n', world.namespace, 'get', 'cdist', 'spread', '--no-headers']);
  expect(line).toMatch(new RegExp(`spread +True +${nodes.length}/${nodes.length} +100% +64.0 MiB`));
  expect(await distribution.events()).toMatch(/Normal +Ready/);
});

scenario('a small file is everywhere within seconds', async (world) => {
  const source = await world.startSource();
  const files = [source.file('small.bin', 'small', MEBIBYTE)];
  const distribution = world.distribution('small');
  const started = Date.now();
  await distribution.apply(fromFiles(files));
  await distribution.waitReady();
  const seconds = (Date.now() - started) / 1000;
  process.stdout.write(
    `apply → Ready of 1 MiB on ${(await nodeNames()).length} nodes: ${seconds.toFixed(1)} s\n`,
  );
  for (const node of await nodeNames())
    expect(await filesOn(node, world.namespace, 'small')).toEqual(asOnNode(files));
});

scenario('two distributions at once do not mix', async (world) => {
  const source = await world.startSource();
  const of = (name: string) => [source.file('same-name.bin', name, 24 * MEBIBYTE)];
  const names = ['one', 'other'];
  await Promise.all(names.map((name) => world.distribution(name).apply(fromFiles(of(name)))));
  await Promise.all(names.map((name) => world.distribution(name).waitReady()));
  for (const node of await nodeNames())
    for (const name of names) expect(await filesOn(node, world.namespace, name)).toEqual(asOnNode(of(name)));
});
