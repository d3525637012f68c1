/** The trackers that are measured, each a process of its own on a port of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { infoHashOf } from './load.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const OPENTRACKER_PORT = 16_969;
/** Clock ticks a second of the times in /proc. */
const TICKS = 100;

/** A tracker that runs. */
export interface Server {
  readonly name: string;
  readonly port: number;
  /** It closes each connection after one answer. */
  readonly perRequest: boolean;
  /** It has peers, which have to be announced first. */
  readonly hasPeers: boolean;
  /** User and system time so far, in seconds. */
  cpuSeconds(): number;
  /** Resident memory in bytes. */
  residentBytes(): number;
  stop(): Promise<void>;
}

function serverOf(
  child: ChildProcess,
  what: Pick<Server, 'name' | 'port' | 'perRequest' | 'hasPeers'>,
  clean: () => void = () => undefined,
): Server {
  const { pid } = child;
  return {
    ...what,
    cpuSeconds() {
      const [, , ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/\(.*\)/, 'x')
        .split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    },
    residentBytes: () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    async stop() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await gone;
      clean();
    },
  };
}

/** The first line that a program prints, as JSON. Its output stays open. */
export async function firstLine(child: ChildProcess): Promise<unknown> {
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  const ended = once(child, 'close').then(() => [undefined]);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string | undefined];
  if (line === undefined) throw new Error(`${child.spawnargs.join(' ')} ended before it said anything`);
  return JSON.parse(line);
}

async function startNode(name: string, args: readonly string[], hasPeers: boolean): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ENXAME_LOG_LEVEL: 'error' },
  });
  const { port } = (await firstLine(child)) as { port: number };
  return serverOf(child, { name, port, perRequest: false, hasPeers });
}

/** This project's tracker. */
export const startEnxame = () =>
  startNode('enxame', ['cli/enxame.ts', 'tracker', '--open', '--listen', '127.0.0.1:0', '--json'], true);

/** Node's own HTTP server with a fixed answer. */
export const startBareHttp = () => startNode('bare Node http', ['bench/tracker/bare-http.ts'], false);

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() !== undefined));
    socket.on('error', () => resolve(false));
  });
}

/** Debian's opentracker, which serves a closed list. */
export async function startOpentracker(swarms: number): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'enxame-bench-'));

  const hashes = Array.from({ length: swarms }, (_, number) => infoHashOf(number).toString('hex'));
  writeFileSync(join(folder, 'whitelist'), `${hashes.join('\n')}\n`);
  chmodSync(folder, 0o755); // It reads the list as another user, from within the folder as its root.
  const port = String(OPENTRACKER_PORT);
  const user = process.getuid?.() === 0 ? 'nobody' : userInfo().username;
  const child = spawn(
    'opentracker',
    ['-i', '127.0.0.1', '-p', port, '-P', port, '-u', user, '-d', folder, '-w', '/whitelist'],
    {
      stdio: 'ignore',
    },
  );
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new Error('opentracker does not start; install the package opentracker', { cause })),
    );
  });
  while (!(await answers(OPENTRACKER_PORT))) {
    if (child.exitCode !== null) throw new Error(`opentracker ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const what = { name: 'opentracker', port: OPENTRACKER_PORT, perRequest: true, hasPeers: true };
  return serverOf(child, what, () => rmSync(folder, { recursive: true, force: true }));
}
