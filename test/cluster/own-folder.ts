/**
 * Temporary folders that carry the name of the process that uses them, so that the next one to come clears away
 * what a killed process could not.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTime } from './lock.ts';

/** Makes a folder for this process, and removes those of the same kind whose process is gone. */
export async function makeOwnFolder(kind: string, parent: string = tmpdir()): Promise<string> {
  const prefix = `enxame-${kind}-`;
  for (const name of await readdir(parent)) {
    const [, pid = '', started = ''] = new RegExp(`^${prefix}(\\d+)-(\\d+)-`).exec(name) ?? [];
    if (pid === '' || (await startTime(Number(pid))) === started) continue;
    // It may be another user's; then it stays.
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
  return mkdtemp(join(parent, `${prefix}${process.pid}-${await startTime(process.pid)}-`));
}
