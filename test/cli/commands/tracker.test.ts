// The tracker as a process, where the machine sets the bounds.
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, expect, test } from '@jest/globals';
import { until } from '../../base/until.ts';
import { announceQuery } from '../../tracker/announce-query.ts';
import { connectDatagram } from '../../tracker/udp-datagrams.ts';
import { type Run, Runs } from '../enxame-process.ts';

const runs = new Runs();
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await runs.endAll();
});

const start = (...options: string[]) => runs.start(['tracker', '--open', '--json', ...options]);

/** An event that it prints, by its place. */
async function event(run: Run, place: number): Promise<{ event: string; port: number }> {
  await until('the program says a line', () => run.lines.length > place, 60);
  return JSON.parse(run.lines[place] as string) as { event: string; port: number };
}

const announce = async (port: number, host = '127.0.0.1') =>
  (
    await fetch(`http://${host}:${port}/announce?${announceQuery()}`, { headers: { connection: 'close' } })
  ).text();

/** Which address answers a datagram. */
async function udpAnswer(host: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  try {
    socket.send(connectDatagram(), port, host);
    return ((await once(socket, 'message')) as [Buffer, { address: string }])[1].address;
  } finally {
    socket.close();
  }
}

test('it listens on several addresses, over HTTP and UDP, and says so in the order they were given', async () => {
  const hosts = ['127.0.0.2', '127.0.0.1', '127.0.0.2'];
  const run = start('--udp', ...hosts.flatMap((host) => ['--listen', `${host}:0`]));
  const ports: number[] = [];
  for (const [place, host] of hosts.entries()) {
    const { event: name, port } = await event(run, place);
    expect(name).toBe('listening');
    expect(await announce(port, host)).toContain('8:interval');
    expect(await udpAnswer(host, port)).toBe(host);
    ports.push(port);
  }
  expect(new Set(ports).size).toBe(3);
  await expect(announce(ports[0] as number, hosts[1])).rejects.toThrow();
  run.child.kill('SIGTERM');
  expect((await run.ended).code).toBe(0);
  expect(run.lines.slice(3)).toEqual(['{"event":"stopped"}']);
});

test('one of several addresses that cannot be listened on is an error, in one line that names it', async () => {
  const run = start('--listen', '127.0.0.1:0');
  const { port } = await event(run, 0);
  const { code, stderr, stdout } = await start('--listen', '127.0.0.2:0', '--listen', `127.0.0.1:${port}`)
    .ended;
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(
    /^enxame tracker: cannot listen on .*EADDRINUSE.*127\.0\.0\.1:\d+; free it or .*\n$/,
  );
  const { code: usage, stderr: why } = await start('--listen', '127.0.0.2:0', '--listen', 'x').ended;
  expect([usage, why]).toEqual([2, expect.stringContaining("--listen is 'x'")]);
});

test('without file descriptors it says so once, and answers as soon as there are some', async () => {
  const run = start('--listen', '127.0.0.1:0');
  const { port } = await event(run, 0);
  await promisify(execFile)('prlimit', [`--pid=${run.child.pid}`, '--nofile=64:64']);
  for (let count = 0; count < 100; count += 1) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
  }
  let log = '';
  run.child.stderr?.on('data', (text: string) => {
    log += text;
  });
  const complaints = () => log.split('\n').filter((line) => line.includes('no file descriptors are left'));
  await until('it complains', () => complaints().length > 0);
  for (const socket of sockets.splice(0)) socket.destroy();
  await until('it answers an announce', async () =>
    (await announce(port).catch(() => '')).includes('8:interval'),
  );
  run.child.kill('SIGTERM');
  expect((await run.ended).code).toBe(0);
  expect(complaints()).toHaveLength(1);
});
