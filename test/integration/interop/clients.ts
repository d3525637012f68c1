// Other people's BitTorrent clients as processes. Invariant: what a test starts is ended by endClients(), and a
// client that is missing is installed or fails the test with the name of its package; nothing is skipped.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { runCommand } from '../../cluster/command.ts';

/** A client's part in a test. */
export type Role = 'seed' | 'leech';

/** What a client is to do. */
export interface Task {
  role: Role;
  /** The .torrent file. */
  torrent: string;
  /** The folder that holds the folder of the torrent's name. */
  folder: string;
}

/** One client. */
export interface Client {
  readonly name: string;
  /** Package of Debian and Ubuntu. */
  readonly package: string;
  /** A command that succeeds if the client is there. */
  readonly probe: readonly [string, ...string[]];
  /** The command that does the task, listening on a port. */
  command(task: Task, port: number): readonly [string, ...string[]];
  /** True if a leecher's process ends when all is there; else it says "complete". */
  readonly endsWhenComplete: boolean;
}

/** The system's Python: packages of the system are for it, whatever else PATH has. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

export const LIBTORRENT: Client = {
  name: 'libtorrent',
  package: 'python3-libtorrent',
  probe: [PYTHON, '-c', 'import libtorrent'],
  command: ({ role, torrent, folder }, port) => [
    PYTHON,
    join(import.meta.dirname, 'libtorrent-peer.py'),
    role,
    torrent,
    folder,
    `${port}`,
  ],
  endsWhenComplete: false,
};

export const ARIA2: Client = {
  name: 'aria2',
  package: 'aria2',
  probe: ['aria2c', '--version'],
  command: ({ role, torrent, folder }, port) => [
    'aria2c',
    '--no-conf',
    '--quiet',
    '--file-allocation=none',
    '--enable-dht=false',
    '--bt-enable-lpd=false',
    '--bt-tracker-interval=1',
    '--check-integrity=true',
    `--listen-port=${port}`,
    `--dir=${folder}`,
    ...(role === 'seed' ? ['--seed-ratio=0'] : ['--seed-time=0']),
    torrent,
  ],
  endsWhenComplete: true,
};

async function isThere({ probe: [program, ...args] }: Client): Promise<boolean> {
  return runCommand(program, args).then(
    () => true,
    () => false,
  );
}

/** Makes sure that a client is there: as root on Debian and Ubuntu it is installed. */
export async function ensureClient(client: Client): Promise<void> {
  if (await isThere(client)) return;
  let why = 'only root can install it';
  if (process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' };
    process.stdout.write(`Installing ${client.package} (apt-get install)\n`);
    try {
      await runCommand('apt-get', ['update', '--quiet=2'], { env });
      await runCommand(
        'apt-get',
        ['install', '--yes', '--quiet=2', '--no-install-recommends', client.package],
        {
          env,
        },
      );
    } catch (error) {
      why = `apt-get failed: ${String(error)}`;
    }
  }
  if (await isThere(client)) return;
  throw new Error(
    `${client.name} is missing (${why}); on Debian and Ubuntu: apt-get install ${client.package}`,
  );
}

const running = new Set<ChildProcess>();

/** Ends every client that was started. */
export async function endClients(): Promise<void> {
  for (const child of running) {
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }
  running.clear();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts a client. `complete` resolves when it has everything, and rejects if it ends without. */
export async function startClient(client: Client, task: Task): Promise<{ complete: Promise<void> }> {
  const [program, ...args] = client.command(task, await freePort());
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  const complete = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (/^complete$/m.test(said)) resolve();
      });
    }
    child.once('close', (code) => {
      running.delete(child);
      if (client.endsWhenComplete && code === 0) resolve();
      else reject(new Error(`${client.name} ended with ${code}: ${said}`));
    });
  });
  // A client that is ended by the test has nobody who waits for it any more.
  complete.catch(() => undefined);
  return { complete };
}
