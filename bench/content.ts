/** Content, its torrent, and a tracker: what a transfer between clients needs. In memory, where /dev/shm is. */
import { randomFillSync } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROGRAM } from './clients/enxame.ts';
import { MeasuredProcess } from './measured-process.ts';

const CHUNK_BYTES = 16 * 1024 * 1024;

/** A folder with content and a tracker that runs. */
export interface Stage {
  /** The folder of the content. */
  readonly folder: string;
  readonly name: string;
  /** The torrent. */
  readonly torrent: string;
  /** An empty folder, new at each call. */
  empty(): string;
  close(): Promise<void>;
}

/** Where the tracker is to be. */
export interface TrackerPlace {
  readonly host: string;
  readonly namespace?: string;
}

/**
 * Makes random content, a torrent of it and starts a tracker for it.
 * @param pieceLength bytes; chosen by size if undefined
 */
export async function setStage(
  sizeBytes: number,
  pieceLength?: number,
  place?: TrackerPlace,
): Promise<Stage> {
  const { host = '127.0.0.1', namespace } = place ?? {};
  const base = memoryFolder();
  const folder = join(base, 'content');
  mkdirSync(folder);
  const name = 'content.bin';
  writeContent(join(folder, name), sizeBytes);
  const tracker = new MeasuredProcess(
    [...PROGRAM, 'tracker', '--open', '--listen', `${host}:0`, '--json'],
    namespace,
  );
  let made = 0;
  const stage = {
    folder,
    name,
    torrent: join(base, 'content.torrent'),
    empty() {
      const path = join(base, `out-${made++}`);
      mkdirSync(path);
      return path;
    },
    async close() {
      await tracker.stop();
      rmSync(base, { recursive: true, force: true });
    },
  };
  try {
    const { port } = JSON.parse(await tracker.line((line) => line.includes('"listening"'))) as {
      port: number;
    };
    await createTorrent(stage.torrent, join(folder, name), `http://${host}:${port}/announce`, pieceLength);
    return stage;
  } catch (error) {
    await stage.close();
    throw error;
  }
}

/**
 * A new folder in memory, where /dev/shm is. It is gone at the latest when this process ends: what is forgotten
 * there stays in memory.
 */
export function memoryFolder(): string {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'enxame-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Random bytes: nothing compresses them, and no two pieces are alike. */
export function writeContent(path: string, sizeBytes: number): void {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const file = openSync(path, 'w');
  for (let done = 0; done < sizeBytes; done += chunk.length)
    writeSync(file, randomFillSync(chunk), 0, Math.min(chunk.length, sizeBytes - done));
  closeSync(file);
}

/** Makes a torrent of a file, by our own command. */
export async function createTorrent(
  torrent: string,
  path: string,
  tracker: string,
  pieceLength: number | undefined,
): Promise<void> {
  const length = pieceLength === undefined ? [] : ['--piece-length', `${pieceLength}`];
  const creating = new MeasuredProcess([
    ...PROGRAM,
    'create',
    path,
    '-o',
    torrent,
    '-t',
    tracker,
    '--json',
    ...length,
  ]);
  try {
    await creating.line((line) => line.includes('"created"'));
  } finally {
    await creating.stop();
  }
}
