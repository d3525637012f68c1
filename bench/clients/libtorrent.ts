/** libtorrent, by Debian's package python3-libtorrent. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MeasuredProcess } from '../measured-process.ts';
import type { Client } from './client.ts';

/** The system's Python: the system's packages are for it, whatever else PATH has. */
export const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

export const LIBTORRENT: Client = {
  name: 'libtorrent',
  start({ role, torrent, folder, host, port, namespace }) {
    const script = join(import.meta.dirname, 'libtorrent-client.py');
    const process = new MeasuredProcess([PYTHON, script, role, torrent, folder, host, `${port}`], namespace);
    return {
      process,
      added: process.line((line) => line === 'added').then(() => undefined),
      complete: async () => void (await process.line((line) => line === 'complete')),
      async sentBytes() {
        return Number((await process.newLine((line) => line.startsWith('sent'))).slice('sent'.length));
      },
    };
  },
};
