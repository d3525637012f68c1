// A control plane on loopback: what it holds outlives a crash of the API server, and nothing outlives it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { PATIENCE } from '../../patience.ts';

/** Processes on whose command line a text stands. */
async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    const line = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
    if (line.includes(text)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}

const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept' }, data: { a: 'b' } };

test('the API server is killed and comes back with what it held', async () => {
  const plane = await startControlPlane();
  try {
    await plane.kubectl(['create', '-f', '-'], JSON.stringify(configMap));
    await plane.stopApiServer();
    await expect(plane.kubectl(['get', 'configmap', 'kept'])).rejects.toMatchObject({
      code: 'CommandFailed',
      stderr: expect.stringContaining('refused'),
    });
    await plane.startApiServer();
    expect(await plane.kubectl(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'])).toBe('b');
    expect(await processesWith(plane.folder)).toHaveLength(2);
  } finally {
    await plane.close();
  }
  expect(existsSync(plane.folder)).toBe(false);
  expect(await processesWith(plane.folder)).toEqual([]);
});

test('with the controller manager, Pods can be made and namespaces end', async () => {
  const plane = await startControlPlane({ controllerManager: true });
  try {
    await plane.kubectl(['run', 'pod', '--image=none']);
    await plane.kubectl(['create', 'namespace', 'passing']);
    await plane.kubectl(['delete', 'namespace', 'passing', `--timeout=${PATIENCE * 60}s`]);
  } finally {
    await plane.close();
  }
});

test('its programs die with the process that started them', async () => {
  const program = `
    import { startControlPlane } from ${JSON.stringify(join(import.meta.dirname, '../../cluster/control-plane.ts'))};
    console.log((await startControlPlane()).folder);
    setInterval(() => undefined, 1000);`;
  const args = ['--input-type=module-typescript', '--eval', program];
  const owner = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [folder] = (await once(createInterface(owner.stdout), 'line')) as [string];
  try {
    expect(await processesWith(folder)).toHaveLength(2);
    owner.kill('SIGKILL');
    const end = Date.now() + PATIENCE * 10_000;
    while ((await processesWith(folder)).length > 0 && Date.now() < end) await delay(50);
    expect(await processesWith(folder)).toEqual([]);
  } finally {
    owner.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
});

test('a control plane that cannot start says which program failed and why', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-broken-test-'));
  try {
    await writeFile(join(folder, 'etcd'), 'not a folder');
    await expect(startControlPlane({ folder })).rejects.toMatchObject({
      code: 'NotReady',
      message: expect.stringMatching(/^etcd ended before[\s\S]*not a directory/),
    });
    expect(await processesWith(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
