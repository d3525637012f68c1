/** Waits until a process of others listens: many do not say so. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MILLISECONDS = 5;

/** Resolves when a socket listens on the port, in the network that the process is in. */
export async function listens(pid: number, port: number): Promise<void> {
  const row = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A `);
  while (!row.test(readFileSync(`/proc/${pid}/net/tcp`, 'utf8'))) await sleep(LOOK_MILLISECONDS);
}
