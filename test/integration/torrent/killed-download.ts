// A program that downloads one torrent as the agent does (into a folder that is renamed once everything is there)
// and is killed while it does so. Invariant: each step is a line that has left the process before the next one
// begins, so that whoever kills it knows what it had done.
import { existsSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { parseInfo } from '../../../torrent/metainfo.ts';
import { Session } from '../../../torrent/session/session.ts';
import { openStorage } from '../../../torrent/storage/open-storage.ts';
import { silent } from '../../torrent/session/harness.ts';
import type { KilledSettings } from './killed-settings.ts';

/** So often that many a kill hits it. */
const SAVE_MILLISECONDS = 25;

const { info, folder, seederPort } = JSON.parse(process.argv[2] ?? '') as KilledSettings;
const metainfo = parseInfo(Buffer.from(info, 'base64'));
const held = join(folder, 'held');
const download = join(folder, 'download');
const resumeFile = join(folder, 'resume');

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const isHeld = existsSync(held);
const storage = await openStorage({
  metainfo,
  root: isHeld ? held : download,
  resumeFile,
  onChecked: (checked) => say(`checked ${checked}`),
});
say(`open ${Buffer.from(storage.have.bytes).toString('hex')}`);

const session = new Session({ logger: silent, listen: { host: '127.0.0.1' } });
const { port } = await session.start();
const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
torrent.on('verified', (piece) => say(`verified ${piece}`));
torrent.on('error', (error) => say(`error ${error.message}`));
say(`port ${port}`);

async function finish(): Promise<void> {
  say('finishing');
  await storage.finalize();
  await storage.saveResume();
  say('renaming');
  await rename(download, held);
  say('renamed');
  await storage.relocate(held);
  say('held');
}

if (isHeld) say('held');
else if (torrent.complete) await finish();
else {
  torrent.on('complete', () => void finish());
  torrent.addPeers([{ host: '127.0.0.1', port: seederPort }]);
  const saving = setInterval(() => {
    if (torrent.complete) clearInterval(saving);
    else void storage.saveResume().then(() => say('saved'));
  }, SAVE_MILLISECONDS);
}
