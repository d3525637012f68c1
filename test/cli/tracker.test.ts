// The tracker as a process, where the machine sets the bounds.
import { execFile } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, expect, test } from '@jest/globals';
import { announceQuery } from '../tracker/announce-query.ts';
import { eventually } from '../tracker/eventually.ts';
import { enxame, type Run } from './enxame-process.ts';

const runs: Run[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const { child } of runs) child.kill('SIGKILL');
  await Promise.all(runs.splice(0).map(({ ended }) => ended));
});

async function startTracker(...options: string[]): Promise<{ run: Run; port: number }> {
  const run = enxame(['tracker', '--open', '--listen', '127.0.0.1:0', ...options]);
  runs.push(run);
  const { port } = JSON.parse((await run.nextLine()) ?? '{}') as { port: number };
  return { run, port };
}

const announce = async (port: number) =>
  (
    await fetch(`http://127.0.0.1:${port}/announce?${announceQuery()}`, { headers: { connection: 'close' } })
  ).text();

test('without file descriptors it says so once, and answers as soon as there are some', async () => {
  const { run, port } = await startTracker();
  await promisify(execFile)('prlimit', [`--pid=${run.child.pid}`, '--nofile=64:64']);
  for (let count = 0; count < 100; count += 1) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
  }
  const complaints = () => run.lines.filter((line) => line.includes('no file descriptors are left'));
  await eventually(() => complaints().length > 0);
  for (const socket of sockets.splice(0)) socket.destroy();
  await eventually(async () => (await announce(port).catch(() => '')).includes('8:interval'));
  run.child.kill('SIGTERM');
  expect((await run.ended).code).toBe(0);
  expect(complaints()).toHaveLength(1);
});
