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

/** What transmission is to do, and where. */
export interface TransmissionTask {
  readonly torrent: string;
  /** The folder that holds the content, or is to hold it. */
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  /** Where it finds its settings, which are written here, and keeps what it knows. */
  readonly ownFolder: string;
  /** At most so many bytes a second are sent; 0 is no limit. */
  readonly upBytesPerSecond?: number;
}

/** The command that does the task. Once all is there it prints a line that is TRANSMISSION_COMPLETE. */
export function transmissionCommand(task: TransmissionTask): [program: string, ...args: string[]] {
  const { torrent, folder, host, port, ownFolder, upBytesPerSecond = 0 } = task;
  const settings = { ...SETTINGS, 'bind-address-ipv4': host };
  writeFileSync(join(ownFolder, 'settings.json'), JSON.stringify(settings));
  return [
    'transmission-cli',
    '--no-portmap',
    '--encryption-tolerated',
    '--no-downlimit',
    ...(upBytesPerSecond > 0 ? [`--uplimit=${Math.ceil(upBytesPerSecond / 1000)}`] : ['--no-uplimit']),
    // Called once all is there, with the torrent's name and more in its environment, which it prints.
    '--finish=/usr/bin/env',
    `--config-dir=${ownFolder}`,
    `--port=${port}`,
    `--download-dir=${folder}`,
    torrent,
  ];
}

/** A line of transmission's that says that all is there. */
export const TRANSMISSION_COMPLETE = /^TR_TORRENT_NAME=/m;

export const TRANSMISSION: Client = {
  name: 'transmission',
  start({ torrent, folder, host, port, namespace }) {
    // Beside the torrent, with which it goes.
    const ownFolder = mkdtempSync(join(dirname(torrent), 'transmission-'));
    const command = transmissionCommand({ torrent, folder, host, port, ownFolder });
    const process = new MeasuredProcess(command, namespace);
    return {
      process,
      added: listens(process.pid, port),
      complete: async () => void (await process.line((line) => TRANSMISSION_COMPLETE.test(line))),
      sentBytes: async () => undefined,
    };
  },
};
