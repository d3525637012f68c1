/** Enxame's own client: `enxame seed` and `enxame download`, from the bundle that users get. */
import { join } from 'node:path';
import { MeasuredProcess } from '../measured-process.ts';
import type { Client } from './client.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The program as it is packed; `npm run bench` makes it. */
export const PROGRAM: readonly [string, string] = [process.execPath, join(ROOT, 'dist', 'enxame.js')];

interface Event {
  readonly event: string;
  readonly uploadedBytes?: number;
}

const isEvent = (name: string) => (line: string) => (JSON.parse(line) as Event).event === name;

export const ENXAME: Client = {
  name: 'Enxame',
  start({ role, torrent, folder, name, host, port, namespace }) {
    const what =
      role === 'seed' ? ['seed', torrent, join(folder, name)] : ['download', torrent, folder, '--seed'];
    const process = new MeasuredProcess(
      [...PROGRAM, ...what, '--listen', `${host}:${port}`, '--json'],
      namespace,
    );
    return {
      process,
      added: process.line(isEvent('listening')).then(() => undefined),
      complete: async () => void (await process.line(isEvent('complete'))),
      async sentBytes() {
        return (JSON.parse(await process.newLine(isEvent('progress'))) as Event).uploadedBytes;
      },
    };
  },
};
