/** `enxame inspect`: says what a torrent holds. */
import { formatBytes } from '../../api/quantity.ts';
import { formatMagnet, type Magnet, type Metainfo } from '../../torrent/index.ts';
import { isMagnet, loadTorrent, readMagnet } from '../client/load-torrent.ts';
import { withHiddenCredentials as shown, withoutCredentials } from '../options/urls.ts';
import type { Program } from '../run.ts';
import { printable } from '../terminal/printable.ts';

/** The options of the command line. */
export interface InspectOptions {
  readonly json?: boolean;
}

/** Characters that are written at a time. */
const CHUNK_CHARACTERS = 64 * 1024;

/** Prints what the torrent at a path or a URL holds. */
export function inspect(torrent: string, { json }: InspectOptions): Program {
  return async ({ signal }) => {
    const warn = (text: string) => process.stderr.write(`enxame inspect: ${text}\n`);
    if (isMagnet(torrent)) {
      const magnet = readMagnet(torrent, warn);
      await print([json ? `${JSON.stringify(magnetJson(magnet))}\n` : magnetText(magnet)]);
      return 0;
    }
    const { metainfo } = await loadTorrent(torrent, warn, signal);
    await print(json ? jsonParts(metainfo) : textParts(metainfo));
    return 0;
  };
}

/** Writes part after part, as fast as they are read: a torrent may name hundreds of thousands of files. */
async function print(parts: Iterable<string>): Promise<void> {
  let chunk = '';
  for (const part of parts) {
    chunk += part;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    if (!(await written(chunk))) return;
    chunk = '';
  }
  await written(chunk);
}

/** Resolves once the text is out; with false if nobody reads it any more. */
function written(text: string): Promise<boolean> {
  return new Promise((resolve) => process.stdout.write(text, (error) => resolve(!error)));
}

function magnetJson({ name, infoHashHex, trackers, webSeeds, peers }: Magnet): object {
  return {
    name,
    infoHash: infoHashHex,
    trackers: trackers.map((url) => [shown(url)]),
    webSeeds: webSeeds.map(shown),
    peers,
  };
}

function magnetText({ name, infoHashHex, trackers, webSeeds, peers }: Magnet): string {
  return table([
    ['Name', name],
    ['Info hash', infoHashHex],
    ...several('Trackers', trackers.map(shown)),
    ...several('Web seeds', webSeeds.map(shown)),
    ...several(
      'Peers',
      peers.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)),
    ),
  ]);
}

/** What stands in a torrent, as one JSON object. */
function* jsonParts(metainfo: Metainfo): Generator<string> {
  const { creationDateSeconds } = metainfo;
  const head = {
    name: metainfo.name,
    infoHash: metainfo.infoHashHex,
    version: metainfo.version,
    bytes: metainfo.totalBytes,
    pieceLength: metainfo.pieceLength,
    pieces: metainfo.pieceCount,
    private: metainfo.isPrivate,
    source: metainfo.source,
    trackers: metainfo.announceList.map((tier) => tier.map(shown)),
    webSeeds: metainfo.webSeeds.map(shown),
    magnet: magnetOf(metainfo),
    comment: metainfo.comment,
    createdBy: metainfo.createdBy,
    createdAt: creationDateSeconds === undefined ? undefined : dateText(creationDateSeconds),
  };
  yield `${JSON.stringify(head).slice(0, -1)},"files":[`;
  let separator = '';
  for (const { path, lengthBytes, executable, padding, sha256 } of metainfo.files) {
    if (padding) continue;
    const file = {
      path: path.join('/'),
      bytes: lengthBytes,
      executable: executable || undefined,
      sha256: sha256?.toString('hex'),
    };
    yield `${separator}${JSON.stringify(file)}`;
    separator = ',';
  }
  yield ']}\n';
}

function* textParts(metainfo: Metainfo): Generator<string> {
  const { creationDateSeconds, files, isSingleFile } = metainfo;
  const count = files.reduce((sum, { padding }) => sum + (padding ? 0 : 1), 0);
  yield table([
    ['Name', metainfo.name],
    ['Info hash', metainfo.infoHashHex],
    ['Kind', metainfo.version === 'hybrid' ? 'versions 1 and 2' : undefined],
    ['Size', `${formatBytes(metainfo.totalBytes)} (${metainfo.totalBytes} bytes)`],
    ['Pieces', `${metainfo.pieceCount} of ${formatBytes(metainfo.pieceLength)}`],
    ['Private', metainfo.isPrivate ? 'yes' : undefined],
    ['Source', metainfo.source],
    ...several(
      'Trackers',
      metainfo.announceList.map((tier) => tier.map(shown).join(', ')),
    ),
    ...several('Web seeds', metainfo.webSeeds.map(shown)),
    ['Comment', metainfo.comment],
    ['Created by', metainfo.createdBy],
    ['Created at', creationDateSeconds === undefined ? undefined : dateText(creationDateSeconds)],
    ['Magnet', magnetOf(metainfo)],
    ['Files', isSingleFile ? undefined : `${count}`],
  ]);
  if (isSingleFile) return;
  const width = files.reduce(
    (most, { lengthBytes, padding }) => (padding ? most : Math.max(most, formatBytes(lengthBytes).length)),
    0,
  );
  for (const { path, lengthBytes, padding } of files)
    if (!padding) yield `  ${formatBytes(lengthBytes).padStart(width)}  ${printable(path.join('/'))}\n`;
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
  // It is made to be passed on.
  const trackers = announceList.flat().map(withoutCredentials);
  return formatMagnet({ infoHashHex, name, trackers, webSeeds: webSeeds.map(withoutCredentials) });
}

function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : date.toISOString();
}
