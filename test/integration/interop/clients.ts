// Other people's BitTorrent clients as processes. Invariant: what a test starts is ended by endClients(), and a
// client that is missing is installed or fails the test with the name of its package; nothing is skipped. Each client
// has a loopback address of its own, as it would outside: transmission takes all that come from one for one peer.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TRANSMISSION_COMPLETE, transmissionCommand } from '../../../bench/clients/transmission.ts';
import { shippedProgram } from '../../cli/enxame-process.ts';
import { runCommand } from '../../cluster/command.ts';

/** A client's part in a test. */
export type Role = 'seed' | 'leech';

/** Where a client listens, and from where it dials and announces. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What a client is to do. */
export interface Task {
  role: Role;
  /** A .torrent file, or for leechers a magnet link. */
  torrent: string;
  /** The folder that holds the file or folder of the torrent's name. */
  folder: string;
  /** That name. */
  name: string;
  /** At most so many bytes a second are sent. */
  upBytesPerSecond?: number;
  /** Peers, for clients that can be told; the others ask the torrent's tracker. */
  peers?: readonly Place[];
  /** How ours treats other own agents; as it does by default where absent. */
  policy?: 'cluster' | 'classic';
}

/** One client. */
export interface Client {
  readonly name: string;
  /** Package of Debian and Ubuntu; undefined for our own. */
  readonly package?: string;
  /** A command that succeeds if the client is there. */
  readonly probe: readonly [string, ...string[]];
  /** The command that does the task. `ownFolder` is there for what the client keeps, and goes when it ends. */
  command(task: Task, place: Place, ownFolder: string): readonly [string, ...string[]];
  /** What a leecher says when all is there; one that says nothing ends. */
  readonly saysComplete?: RegExp;
}

const textOf = ({ host, port }: Place) => `${host}:${port}`;

/** The system's Python: packages of the system are for it, whatever else PATH has. */
export const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

export const LIBTORRENT: Client = {
  name: 'libtorrent',
  package: 'python3-libtorrent',
  probe: [PYTHON, '-c', 'import libtorrent'],
  command: ({ role, torrent, folder, upBytesPerSecond = 0, peers = [] }, { host, port }) => [
    PYTHON,
    join(import.meta.dirname, 'libtorrent-peer.py'),
    role,
    torrent,
    folder,
    host,
    `${port}`,
    `${upBytesPerSecond}`,
    ...peers.map(textOf),
  ],
  saysComplete: /^complete$/m,
};

export const ARIA2: Client = {
  name: 'aria2',
  package: 'aria2',
  probe: ['aria2c', '--version'],
  command: ({ role, torrent, folder, upBytesPerSecond = 0 }, { host, port }) => [
    'aria2c',
    '--no-conf',
    '--quiet',
    '--file-allocation=none',
    '--enable-dht=false',
    '--bt-enable-lpd=false',
    '--bt-tracker-interval=1',
    '--check-integrity=true',
    `--interface=${host}`,
    `--listen-port=${port}`,
    `--dir=${folder}`,
    `--max-overall-upload-limit=${upBytesPerSecond}`,
    ...(role === 'seed' ? ['--seed-ratio=0'] : ['--seed-time=0']),
    torrent,
  ],
};

/**
 * It never dials loopback addresses, so others have to dial it. It looks every 10 s whom to unchoke and in whom it is
 * interested: nothing comes or goes before.
 */
export const TRANSMISSION: Client = {
  name: 'transmission',
  package: 'transmission-cli',
  probe: ['transmission-cli', '--version'],
  command: ({ torrent, folder, upBytesPerSecond }, { host, port }, ownFolder) =>
    transmissionCommand({ torrent, folder, host, port, ownFolder, upBytesPerSecond }),
  saysComplete: TRANSMISSION_COMPLETE,
};

/** A client that only makes torrents. */
export const MKTORRENT: Pick<Client, 'name' | 'package' | 'probe'> = {
  name: 'mktorrent',
  package: 'mktorrent',
  probe: ['sh', '-c', 'command -v mktorrent'],
};

/** Our own commands, as they are shipped: a leecher goes on seeding, so that it can be met by slower ones. */
export const ENXAME: Client = {
  name: 'enxame',
  probe: [process.execPath, '--version'],
  command: ({ role, torrent, folder, name, upBytesPerSecond = 0, peers = [], policy }, place) => [
    process.execPath,
    shippedProgram(),
    ...(role === 'seed' ? ['seed', torrent, join(folder, name)] : ['download', torrent, folder, '--seed']),
    '--json',
    `--listen=${textOf(place)}`,
    `--up=${upBytesPerSecond}`,
    ...(policy === undefined ? [] : [`--policy=${policy}`]),
    ...peers.map((peer) => `--peer=${textOf(peer)}`),
  ],
  saysComplete: /^\{"event":"complete"/m,
};

/** What has to be there for a test. */
type Program = Pick<Client, 'name' | 'package' | 'probe'>;

async function isThere({ probe: [program, ...args] }: Program): Promise<boolean> {
  return runCommand(program, args).then(
    () => true,
    () => false,
  );
}

/** Makes sure that a client is there: as root on Debian and Ubuntu it is installed. */
export async function ensureClient(client: Program): Promise<void> {
  if (client.package === undefined || (await isThere(client))) return;
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

let places = 0;

/** A loopback address that no client of this process has had, and a port that is free there. */
async function freePlace(): Promise<Place> {
  const index = places++;
  const host = `127.1.${Math.trunc(index / 250)}.${1 + (index % 250)}`;
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { host, port: address.port };
}

/** A client that runs. */
export interface RunningClient {
  readonly place: Place;
  /** Resolves when it has everything, and rejects if it ends without. */
  readonly complete: Promise<void>;
  /** Resolves with all that it has said, once the condition holds for it; rejects if it ends before. */
  said(holds: (text: string) => boolean): Promise<string>;
  /** Ends it, at once by default, and waits for that. Resolves with its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a client, where nobody else is unless a place is given. */
export async function startClient(client: Client, task: Task, at?: Place): Promise<RunningClient> {
  const place = at ?? (await freePlace());
  const ownFolder = mkdtempSync(join(tmpdir(), 'enxame-client-'));
  const [program, ...args] = client.command(task, place, ownFolder);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  const waiting = new Set<() => void>();
  let ended: Error | undefined;
  const closed = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      said += String(error);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        for (const look of waiting) look();
      });
    }
    child.once('close', (code) => {
      running.delete(child);
      rmSync(ownFolder, { recursive: true, force: true });
      ended = new Error(`${client.name} ended with ${code}: ${said.slice(-2000)}`);
      for (const look of waiting) look();
      resolve(code);
    });
  });
  const saidSoThat = (holds: (text: string) => boolean) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        if (holds(said)) resolve(said);
        else if (ended !== undefined) reject(ended);
        else return;
        waiting.delete(look);
      };
      waiting.add(look);
      look();
    });
  const { saysComplete } = client;
  const complete =
    saysComplete === undefined
      ? closed.then((code) => {
          if (code !== 0) throw ended;
        })
      : saidSoThat((text) => saysComplete.test(text)).then(() => undefined);
  // A client that is ended by the test has nobody who waits for it any more.
  complete.catch(() => undefined);
  return {
    place,
    complete,
    said: saidSoThat,
    end(signal = 'SIGKILL') {
      child.kill(signal);
      return closed;
    },
  };
}
