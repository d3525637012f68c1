// A download that is killed (SIGKILL) at random moments, again and again: nothing unverified is ever served or
// exposed, and nothing that was verified is fetched again. 24 kills; KILLS=100 for more, KILL_SEED for other moments.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from '@jest/globals';
import { Bitfield } from '../../../torrent/bitfield.ts';
import type { Session } from '../../../torrent/session/session.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { until } from '../../base/until.ts';
import { closeAll, silent, startSession } from '../../torrent/session/harness.ts';
import { makeTorrent } from '../../torrent/storage/content.ts';
import { seededRandom } from '../../tracker/seeded-random.ts';
import type { KilledSettings } from './killed-settings.ts';

const KILLS = Number(process.env.KILLS ?? 24);
const SEED = Number(process.env.KILL_SEED ?? 1);
const MIB = 1024 * 1024;
const PIECE = 32 * 1024;
const PROGRAM = join(import.meta.dirname, 'killed-download.ts');

/** About as many kills in each; in each content one after the other, before it is let complete. */
const MOMENTS = ['downloading', 'verifying', 'downloading', 'verifying', 'finishing', 'renaming'] as const;
type Moment = (typeof MOMENTS)[number];

// Private, and only the program is of a cluster, so that nobody is told of anybody: what is read from the seeder is
// read by the program.
const { metainfo, content, piece } = makeTorrent(
  [
    { path: 'a', length: 3 * MIB + 77 },
    { path: 'folder/b', length: MIB },
    { path: 'folder/empty', length: 0 },
    { path: 'folder/c', length: 2 * MIB + 1 },
    { path: 'd', length: 5 },
  ],
  { pieceLength: PIECE, isPrivate: true },
);

afterEach(closeAll);

/** Counts the pieces that are read from it. */
class CountingStorage extends MemoryStorage {
  readonly read = new Set<number>();

  override cachedBlock(index: number, offset: number, length: number): Buffer | undefined {
    this.read.add(index);
    return super.cachedBlock(index, offset, length);
  }
}

/** The bytes of a piece as they lie in the files below `root`. */
function pieceOnDisk(root: string, index: number): Buffer {
  const start = index * PIECE;
  const end = start + metainfo.pieceLengthAt(index);
  return Buffer.concat(
    metainfo.files
      .filter((file) => file.lengthBytes > 0)
      .filter((file) => file.offsetBytes < end && file.offsetBytes + file.lengthBytes > start)
      .map(({ path, offsetBytes }) =>
        readFileSync(join(root, ...path)).subarray(Math.max(0, start - offsetBytes), end - offsetBytes),
      ),
  );
}

function expectWholeContent(root: string): void {
  for (const { path, offsetBytes, lengthBytes } of metainfo.files) {
    const bytes = readFileSync(join(root, ...path));
    if (!bytes.equals(content.subarray(offsetBytes, offsetBytes + lengthBytes))) {
      throw new Error(`${path.join('/')} is exposed and is not what it should be`);
    }
  }
}

function spin(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end; );
}

/** One life of the program. */
class Life {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly verified = new Set<number>();
  /** Pieces that it held when it was started. */
  found: Bitfield | undefined;
  port: number | undefined;
  /** What it did last. */
  last = 'starting';
  checked = 0;
  error: string | undefined;
  /** Called with each line, before anything else happens here. */
  onLine: (() => void) | undefined;

  constructor(settings: KilledSettings) {
    this.#child = spawn(process.execPath, [PROGRAM, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#closed = once(this.#child, 'close');
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('no pipe');
    createInterface({ input: stdout }).on('line', (line) => this.#line(line));
  }

  #line(line: string): void {
    const [word = '', value = ''] = line.split(' ');
    if (word !== 'saved') this.last = word;
    if (word === 'checked') this.checked = Number(value);
    else if (word === 'open') this.found = Bitfield.fromBytes(Buffer.from(value, 'hex'), metainfo.pieceCount);
    else if (word === 'port') this.port = Number(value);
    else if (word === 'verified') this.verified.add(Number(value));
    else if (word === 'error') this.error = line;
    this.onLine?.();
  }

  get isHeld(): boolean {
    return this.last === 'held';
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  /** Kills it, and waits until all that it said has been read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

/** Waits for the moment in the program's life, and a little longer. */
async function waitFor(moment: Moment, life: Life, random: () => number): Promise<void> {
  const missing = () => metainfo.pieceCount - (life.found?.count ?? 0);
  const share = random();
  const isReached = () => {
    if (life.isHeld) return true;
    if (moment === 'verifying')
      return life.checked > share * 0.5 * metainfo.pieceCount || life.found !== undefined;
    if (moment === 'downloading')
      return life.found !== undefined && life.verified.size >= share * 0.8 * missing();
    return life.last === moment || life.last === 'renamed';
  };
  await new Promise<void>((resolve) => {
    life.onLine = () => {
      if (!isReached()) return;
      life.onLine = undefined;
      resolve();
    };
  });
  // The line may have come at any time of the step: neither does this end at a certain one.
  spin(random() * (moment === 'renaming' ? 0.5 : 3));
}

test(`${KILLS} kills: nothing unverified is served or exposed, nothing verified is fetched again`, async () => {
  const random = seededRandom(SEED);
  const hits = new Map<string, number>();
  let kills = 0;
  let lives = 0;

  async function live(folder: string, known: Set<number>, moment: Moment | undefined): Promise<void> {
    lives++;
    const seeded = new CountingStorage(metainfo, content);
    const seeder: Session = await startSession({ limits: { uploadBytesPerSecond: 12 * MIB } });
    seeder.add({ metainfo, storage: seeded, policy: 'classic', discovery: [] });
    const corrupt: object[] = [];
    const taker = await startSession({
      logger: { ...silent, warn: (fields) => corrupt.push(fields) },
    });
    const taken = new MemoryStorage(metainfo);
    const taking = taker.add({ metainfo, storage: taken, policy: 'classic', discovery: [] });

    const info = Buffer.from(metainfo.infoBytes).toString('base64');
    const life = new Life({ info, folder, seederPort: seeder.port });
    const introduced = until('it listens or is killed', () => life.port !== undefined || life.hasEnded, 60)
      .then(() => life.port !== undefined && taking.addPeers([{ host: '127.0.0.1', port: life.port }]))
      .catch(() => undefined);
    if (moment === undefined) {
      await until('it is held', () => life.isHeld, 60);
      await until('somebody took everything', () => taking.complete, 60);
    } else {
      await waitFor(moment, life, random);
      hits.set(life.last, (hits.get(life.last) ?? 0) + 1);
      kills++;
    }
    await life.kill();
    life.port ??= 0;
    await introduced;
    await Promise.all([seeder.close(), taker.close()]);

    expect(life.error).toBeUndefined();
    // What it had verified in an earlier life it still has, and does not ask for.
    if (life.found !== undefined) expect([...known].filter((index) => !life.found?.get(index))).toEqual([]);
    expect([...seeded.read].filter((index) => known.has(index))).toEqual([]);
    expect([...life.verified].filter((index) => known.has(index))).toEqual([]);
    // What it claims to have lies on disk as it should, and what it gave to others was right.
    for (const index of life.verified) known.add(index);
    const root = join(folder, existsSync(join(folder, 'held')) ? 'held' : 'download');
    for (const index of known) {
      if (!pieceOnDisk(root, index).equals(piece(index)))
        throw new Error(`piece ${index} is not what it should be`);
    }
    if (life.found !== undefined) {
      for (let index = life.found.nextSet(0); index >= 0; index = life.found.nextSet(index + 1)) {
        known.add(index);
        if (!pieceOnDisk(root, index).equals(piece(index)))
          throw new Error(`piece ${index} is claimed wrongly`);
      }
    }
    expect(corrupt).toEqual([]);
    if (existsSync(join(folder, 'held'))) expectWholeContent(join(folder, 'held'));
  }

  while (kills < KILLS) {
    const folder = mkdtempSync(join(tmpdir(), 'enxame-kill-'));
    try {
      const known = new Set<number>();
      for (const moment of MOMENTS) if (kills < KILLS) await live(folder, known, moment);
      await live(folder, known, undefined);
      expect(known.size).toBe(metainfo.pieceCount);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  process.stdout.write(
    `${kills} kills in ${lives} lives, by what was done last: ${JSON.stringify(Object.fromEntries(hits))}; KILL_SEED=${SEED}\n`,
  );
  // Each kind of moment was hit.
  expect(hits.get('checked')).toBeGreaterThan(0);
  expect(hits.get('verified')).toBeGreaterThan(0);
  expect((hits.get('finishing') ?? 0) + (hits.get('renaming') ?? 0)).toBeGreaterThan(0);
}, 900_000);
