/**
 * transmission, by Debian's package transmission-cli. It never dials loopback addresses, so others have to dial it, and
 * answers requests every 500 ms.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MeasuredProcess } from '../measured-process.ts';
import type { Client } from './client.ts';
import { listens } from './listens.ts';

/** What would find peers in other ways than the tracker's, or speak another protocol. */
const SETTINGS = {
  'dht-enabled': false,
  'lpd-enabled': false,
  'pex-enabled': false,
  'utp-enabled': false,
  'rpc-enabled': false,
};

export const TRANSMISSION: Client = {
  name: 'transmission',
  start({ torrent, folder, host, port, namespace }) {
    // Beside the torrent, with which it goes.
    const ownFolder = mkdtempSync(join(dirname(torrent), 'transmission-'));
    writeFileSync(
      join(ownFolder, 'settings.json'),
      JSON.stringify({ ...SETTINGS, 'bind-address-ipv4': host }),
    );
    const process = new MeasuredProcess(
      [
        'transmission-cli',
        '--no-portmap',
        '--encryption-tolerated',
        '--no-downlimit',
        '--no-uplimit',
        // Called once all is there, with the torrent's name and more in its environment, which it prints.
        '--finish=/usr/bin/env',
        `--config-dir=${ownFolder}`,
        `--port=${port}`,
        `--download-dir=${folder}`,
        torrent,
      ],
      namespace,
    );
    return {
      process,
      added: listens(process.pid, port),
      complete: async () => void (await process.line((line) => line.startsWith('TR_TORRENT_NAME='))),
      sentBytes: async () => undefined,
    };
  },
};
