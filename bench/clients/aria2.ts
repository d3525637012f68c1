/** aria2, by Debian's package aria2. What it does is seen from outside, and by the command that it calls at the end. */
import { MeasuredProcess } from '../measured-process.ts';
import type { Client } from './client.ts';
import { listens } from './listens.ts';

export const ARIA2: Client = {
  name: 'aria2',
  start({ role, torrent, folder, name, port, namespace }) {
    const process = new MeasuredProcess(
      [
        'aria2c',
        '--no-conf',
        '--console-log-level=warn',
        '--on-bt-download-complete=/bin/echo',
        '--summary-interval=0',
        '--show-console-readout=false',
        '--file-allocation=none',
        '--enable-dht=false',
        '--bt-enable-lpd=false',
        '--allow-overwrite=true',
        '--seed-ratio=0',
        `--listen-port=${port}`,
        `--dir=${folder}`,
        ...(role === 'seed' ? ['--bt-seed-unverified=true'] : []),
        torrent,
      ],
      namespace,
    );
    return {
      process,
      added: listens(process.pid, port),
      complete: async () => void (await process.line((line) => line.endsWith(`/${name}`))),
      sentBytes: async () => undefined,
    };
  },
};
