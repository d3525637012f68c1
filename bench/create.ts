/** Row 8: making a torrent of content in memory. */
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { PROGRAM } from './clients/enxame.ts';
import { PYTHON } from './clients/libtorrent.ts';
import { memoryFolder, writeContent } from './content.ts';
import { contest, peersOf } from './contest.ts';
import { MeasuredProcess } from './measured-process.ts';
import { median } from './statistics.ts';

const GIB = 2 ** 30;
const PIECE_LENGTH_POWER = 19;
const OURS = 'Enxame';
const MKTORRENT = 'mktorrent, 2 threads';

const LIBTORRENT_CREATE = `
import sys, libtorrent as lt
fs = lt.file_storage(); lt.add_files(fs, sys.argv[1])
t = lt.create_torrent(fs, ${2 ** PIECE_LENGTH_POWER}, lt.create_torrent.v1_only)
lt.set_piece_hashes(t, sys.argv[1].rsplit('/', 1)[0])
open(sys.argv[2], 'wb').write(lt.bencode(t.generate()))
print('done')
`;

export const CREATE: Bench = {
  name: 'create',
  about: 'row 8: create a torrent of one file in memory, pieces of 512 KiB (2 GiB)',
  async run(options) {
    const size = options.size ?? 2 * GIB;
    const folder = memoryFolder();
    try {
      const content = join(folder, 'content.bin');
      writeContent(content, size);
      const torrent = join(folder, 'x.torrent');
      const timed =
        (...command: [string, ...string[]]) =>
        async () => {
          rmSync(torrent, { force: true });
          const started = performance.now();
          const process = new MeasuredProcess(['sh', '-c', '"$0" "$@" && echo made', ...command]);
          await process.line((line) => line === 'made');
          const seconds = (performance.now() - started) / 1000;
          await process.stop();
          return seconds;
        };
      const piece = `${PIECE_LENGTH_POWER}`;
      const contenders = {
        [OURS]: timed(
          ...PROGRAM,
          'create',
          content,
          '-o',
          torrent,
          '--piece-length',
          `${2 ** PIECE_LENGTH_POWER}`,
          '--json',
        ),
        [MKTORRENT]: timed(
          'mktorrent',
          '-t',
          '2',
          '-l',
          piece,
          '-a',
          'http://127.0.0.1/announce',
          '-o',
          torrent,
          content,
        ),
        'mktorrent, 1 thread': timed(
          'mktorrent',
          '-t',
          '1',
          '-l',
          piece,
          '-a',
          'http://127.0.0.1/announce',
          '-o',
          torrent,
          content,
        ),
        libtorrent: timed(PYTHON, '-c', LIBTORRENT_CREATE, content, torrent),
      };
      const results = await contest('create', contenders, options, (seconds) => `${seconds.toFixed(2)} s`);
      const ours = results[OURS] ?? [];
      const peers = peersOf(results, OURS, (seconds) => seconds);
      return {
        rows: [
          {
            number: '8',
            work: `create a torrent of ${(size / GIB).toFixed(1)} GiB (${availableParallelism()} cores): s, the program's start included`,
            ours,
            peers,
            digits: 2,
            target: '≤ 1.1 × mktorrent with 2 threads',
            isReached: median(ours) <= 1.1 * median(peers[MKTORRENT] ?? []),
          },
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
