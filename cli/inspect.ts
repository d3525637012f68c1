/** `enxame inspect`: says what a torrent holds. */
import { formatBytes } from '../api/quantity.ts';
import { formatMagnet, type Magnet, type Metainfo } from '../torrent/index.ts';
import { isMagnet, loadTorrent, readMagnet } from './load-torrent.ts';
import { printable } from './printable.ts';
import type { Program } from './run.ts';

/** The options of the command line. */
export interface InspectOptions {
  readonly json?: boolean;
}

/** Prints what the torrent at a path or a URL holds. */
export function inspect(torrent: string, { json }: InspectOptions): Program {
  return async ({ signal }) => {
    if (isMagnet(torrent)) {
      const magnet = readMagnet(torrent);
      process.stdout.write(json ? `${JSON.stringify(magnetJson(magnet))}\n` : magnetText(magnet));
      return 0;
    }
    const { metainfo } = await loadTorrent(torrent, signal);
    process.stdout.write(json ? `${JSON.stringify(asJson(metainfo))}\n` : asText(metainfo));
    return 0;
  };
}

function magnetJson({ name, infoHashHex, trackers, webSeeds, peers }: Magnet): object {
  return { name, infoHash: infoHashHex, trackers: trackers.map((url) => [url]), webSeeds, peers };
}

function magnetText({ name, infoHashHex, trackers, webSeeds, peers }: Magnet): string {
  return table([
    ['Name', name],
    ['Info hash', infoHashHex],
    ...several('Trackers', trackers),
    ...several('Web seeds', webSeeds),
    ...several(
      'Peers',
      peers.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)),
    ),
  ]);
}

/** What stands in a torrent, as data. */
function asJson(metainfo: Metainfo): object {
  const { creationDateSeconds } = metainfo;
  return {
    name: metainfo.name,
    infoHash: metainfo.infoHashHex,
    version: metainfo.version,
    bytes: metainfo.totalBytes,
    pieceLength: metainfo.pieceLength,
    pieces: metainfo.pieceCount,
    private: metainfo.isPrivate,
    source: metainfo.source,
    trackers: metainfo.announceList,
    webSeeds: metainfo.webSeeds,
    magnet: magnetOf(metainfo),
    comment: metainfo.comment,
    createdBy: metainfo.createdBy,
    createdAt: creationDateSeconds === undefined ? undefined : dateText(creationDateSeconds),
    files: metainfo.files
      .filter(({ padding }) => !padding)
      .map(({ path, lengthBytes, executable, sha256 }) => ({
        path: path.join('/'),
        bytes: lengthBytes,
        executable: executable || undefined,
        sha256: sha256?.toString('hex'),
      })),
  };
}

function asText(metainfo: Metainfo): string {
  const { creationDateSeconds, isSingleFile } = metainfo;
  const files = metainfo.files.filter(({ padding }) => !padding);
  const head = table([
    ['Name', metainfo.name],
    ['Info hash', metainfo.infoHashHex],
    ['Kind', metainfo.version === 'hybrid' ? 'versions 1 and 2' : undefined],
    ['Size', `${formatBytes(metainfo.totalBytes)} (${metainfo.totalBytes} bytes)`],
    ['Pieces', `${metainfo.pieceCount} of ${formatBytes(metainfo.pieceLength)}`],
    ['Private', metainfo.isPrivate ? 'yes' : undefined],
    ['Source', metainfo.source],
    ...several(
      'Trackers',
      metainfo.announceList.map((tier) => tier.join(', ')),
    ),
    ...several('Web seeds', metainfo.webSeeds),
    ['Comment', metainfo.comment],
    ['Created by', metainfo.createdBy],
    ['Created at', creationDateSeconds === undefined ? undefined : dateText(creationDateSeconds)],
    ['Magnet', magnetOf(metainfo)],
    ['Files', isSingleFile ? undefined : `${files.length}`],
  ]);
  const sizes = files.map(({ lengthBytes }) => formatBytes(lengthBytes));
  const width = Math.max(0, ...sizes.map(({ length }) => length));
  const list = isSingleFile
    ? []
    : files.map(({ path }, index) => `  ${sizes[index]?.padStart(width)}  ${printable(path.join('/'))}\n`);
  return `${head}${list.join('')}`;
}

/** Names and values, one a line; what has no value is left out. */
function table(rows: readonly (readonly [string, string | undefined])[]): string {
  return rows
    .flatMap(([name, value]) => (value === undefined ? [] : `${name.padEnd(12)}${printable(value)}\n`))
    .join('');
}

function several(name: string, values: readonly string[]): [string, string][] {
  return values.map((value, index) => [index === 0 ? name : '', value]);
}

/** None for a private torrent: its peers come from its trackers alone, and so does its metainfo. */
function magnetOf(metainfo: Metainfo): string | undefined {
  if (metainfo.isPrivate) return undefined;
  const { infoHashHex, name, announceList, webSeeds } = metainfo;
  return formatMagnet({ infoHashHex, name, trackers: announceList.flat(), webSeeds: [...webSeeds] });
}

function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : date.toISOString();
}
