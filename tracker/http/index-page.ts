/** The page at /torrents: what this tracker serves, for people. */
import type { SwarmCounts } from '../swarms/swarm.ts';

/** A line of the index. */
export interface IndexEntry extends Omit<SwarmCounts, 'partialSeeds'> {
  readonly infoHashHex: string;
  readonly name: string | undefined;
  readonly totalBytes: number | undefined;
}

/** Most lines on the page. */
export const MAX_INDEX_ENTRIES = 1_000;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function readableSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

function row(entry: IndexEntry): string {
  const { infoHashHex, name, totalBytes, seeders, leechers, completed } = entry;
  const size = totalBytes === undefined ? '' : readableSize(totalBytes);
  return (
    `<tr><td><a href="/torrents/${infoHashHex}.torrent">${escapeHtml(name ?? infoHashHex)}</a></td>` +
    `<td>${size}</td><td>${seeders}</td><td>${leechers}</td><td>${completed}</td>` +
    `<td><a href="/swarms/${infoHashHex}"><code>${infoHashHex}</code></a></td></tr>`
  );
}

/**
 * The page as HTML.
 *
 * @param total how many torrents there are; more than `entries` where the page is cut
 */
export function indexPage(entries: readonly IndexEntry[], total: number): string {
  const cut = total > entries.length ? `<p>The first ${entries.length} of ${total}.</p>` : '';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Torrents</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem}td,th{padding:0 1rem 0 0;text-align:left}</style>
</head><body><h1>Torrents</h1>${cut}
<table><thead><tr><th>Name</th><th>Size</th><th>Seeders</th><th>Leechers</th><th>Completed</th><th>Info hash</th></tr></thead>
<tbody>
${entries.map(row).join('\n')}
</tbody></table></body></html>
`;
}
