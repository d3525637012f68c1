/**
 * A lock file that one process at a time holds. It names its holder by process id and start time, so that a
 * lock whose holder died is known for stale and broken, even after its process id was given out again.
 */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../../base/index.ts';

/** How often a waiting process looks at the lock again. */
const POLL_MILLISECONDS = 500;
/** A waiting process says so after this time, and not for the short waits. */
const SAY_AFTER_MILLISECONDS = 1_000;

export interface LockOptions {
  log: (line: string) => void;
  /** What the holder does, for the line that a waiting process logs: "builds the programs". */
  doing: string;
}

/** Takes the lock, waiting for whoever holds it. The function that is returned gives it back. */
export async function acquireLock(path: string, options: LockOptions): Promise<() => Promise<void>> {
  const mine = `${process.pid} ${await startTime(process.pid)} ${randomUUID()}\n`;
  const started = Date.now();
  let said = false;
  while (!(await create(path, mine))) {
    const holder = await contents(path);
    if (holder === undefined) continue;
    if (!(await alive(holder))) {
      await breakStale(path, holder);
      continue;
    }
    if (!said && Date.now() - started > SAY_AFTER_MILLISECONDS) {
      options.log(`Another run (process ${holder.split(' ')[0]}) ${options.doing}; waiting for it`);
      said = true;
    }
    await delay(POLL_MILLISECONDS);
  }
  return async () => {
    if ((await contents(path)) === mine) await rm(path, { force: true });
  };
}

/** Creates the lock with its text in one step, so that nobody ever reads an empty one. */
async function create(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, text);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Removes a lock whose holder is gone. Between looking and removing somebody else may have done the same and
 * taken the lock; what was moved aside is then their lock, and is put back.
 */
async function breakStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if ((await contents(aside)) !== stale) await link(aside, path);
  } finally {
    await rm(aside, { force: true });
  }
}

async function contents(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function alive(holder: string): Promise<boolean> {
  const [pid = '', started = ''] = holder.trim().split(' ');
  return started !== '' && (await startTime(Number(pid))) === started;
}

/**
 * When a process started, in clock ticks since boot (proc_pid_stat(5), field 22).
 *
 * @returns an empty string if there is no such process, or only what is left of it until its parent looks
 */
export async function startTime(pid: number): Promise<string> {
  const stat = await contents(`/proc/${pid}/stat`).catch(() => undefined);
  if (stat === undefined) return '';
  // The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? '' : (fields[18] ?? '');
}
