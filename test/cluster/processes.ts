/**
 * Programs that go on when the command that started them has ended. Each is remembered in a file by process id
 * and start time, so that only it is ever ended, even where its id was given out again.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../../base/index.ts';
import { ClusterError } from './errors.ts';
import { startTime } from './lock.ts';

/** How a program is started. */
export interface Program {
  /** Unique in the cluster; also the name of its log. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly logFile: string;
  /** Folders that PATH begins with. */
  readonly path?: readonly string[];
}

interface Recorded {
  readonly pid: number;
  readonly startTime: string;
}

const LOG_LINES = 15;
const KILL_TIMEOUT_MILLISECONDS = 20_000;

/** Whether a process is there; zombies do not count. */
async function isAlive({ pid, startTime: started }: Recorded): Promise<boolean> {
  if ((await startTime(pid)) !== started) return false;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
}

/** Kills processes and waits until they are gone. The list is read again until it is empty. */
export async function killAll(pids: () => Promise<readonly number[]>): Promise<void> {
  const end = Date.now() + KILL_TIMEOUT_MILLISECONDS;
  for (let left = await pids(); left.length > 0; left = await pids()) {
    if (Date.now() > end)
      throw new ClusterError('NotReady', `processes do not end, even when killed: ${left.join(', ')}`);
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (systemCode(error) !== 'ESRCH') throw error;
      }
    }
    await delay(50);
  }
}

/** Processes on whose command line all of these stand as arguments, or as the ends of arguments. */
export async function processesMentioning(...endings: readonly string[]): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const mentions = async (pid: number) => {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    return endings.every((ending) => words.some((word) => word.endsWith(ending)));
  };
  const found = await Promise.all(pids.map(mentions));
  return pids.filter((_, index) => found[index]);
}

/** The programs of one cluster. */
export class Processes {
  readonly #folder: string;

  /** @param folder holds a file for each program that was started */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Starts a program in a session of its own; one that runs already stays as it is. Of the environment it gets
   * what every program needs: a proxy or a kubeconfig that whoever typed the command has set is not the cluster's.
   */
  async start({ name, command, logFile, path = [] }: Program): Promise<void> {
    if ((await this.pid(name)) !== undefined) return;
    await mkdir(this.#folder, { recursive: true });
    await mkdir(dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a');
    try {
      const child = spawn(command[0], command.slice(1), {
        detached: true,
        cwd: '/',
        stdio: ['ignore', log, log],
        env: {
          PATH: [...path, process.env.PATH ?? ''].join(':'),
          HOME: process.env.HOME ?? '/root',
          LANG: 'C.UTF-8',
        },
      });
      const pid = await new Promise<number>((resolve, reject) => {
        child.once('spawn', () => resolve(child.pid!));
        child.once('error', (cause) =>
          reject(
            new ClusterError('CommandFailed', `${command[0]} cannot be started: ${cause.message}`, { cause }),
          ),
        );
      });
      child.unref();
      const record: Recorded = { pid, startTime: await startTime(pid) };
      await writeFile(join(this.#folder, `${name}.json`), JSON.stringify(record));
    } finally {
      closeSync(log);
    }
  }

  async #recorded(name: string): Promise<Recorded | undefined> {
    const text = await readFile(join(this.#folder, `${name}.json`), 'utf8').catch(() => '');
    try {
      return JSON.parse(text) as Recorded;
    } catch {
      return undefined; // Never started, or the write was interrupted.
    }
  }

  /** The process id of a program that runs. */
  async pid(name: string): Promise<number | undefined> {
    const recorded = await this.#recorded(name);
    return recorded !== undefined && (await isAlive(recorded)) ? recorded.pid : undefined;
  }

  /** Names of all programs that were started. */
  async names(): Promise<string[]> {
    const files = await readdir(this.#folder).catch(() => []);
    return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
  }

  /** Kills a program, and returns when it is gone. */
  async kill(name: string): Promise<void> {
    await killAll(async () => {
      const pid = await this.pid(name);
      return pid === undefined ? [] : [pid];
    });
    await rm(join(this.#folder, `${name}.json`), { force: true });
  }

  /** @throws {ClusterError} NotReady, with the end of its log, if the program does not run */
  async mustRun(name: string, logFile: string): Promise<void> {
    if ((await this.pid(name)) !== undefined) return;
    const log = await readFile(logFile, 'utf8').catch(() => '');
    const last = log.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
    throw new ClusterError('NotReady', `${name} has ended; the end of ${logFile}:\n${last}`);
  }
}
