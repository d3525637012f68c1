// Magnet links (BEP 9, BEP 53's x.pe, BEP 19's ws). Invariant: a Magnet that exists names exactly one torrent of
// version 1, and every address and URL in it can be used as it is.
import ipaddr from 'ipaddr.js';
import type { PeerAddress } from './discovery/discovery.ts';
import { TorrentError } from './errors.ts';

/** Characters of a link that are accepted. */
const MAX_MAGNET_CHARACTERS = 64 * 1024;

/** Trackers, peers and web seeds of one link that are accepted, of each kind. */
const MAX_MAGNET_ENTRIES = 200;

const BTIH = 'urn:btih:';
const BTMH = 'urn:btmh:';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** What a magnet link says. */
export interface Magnet {
  /** 20 bytes. */
  infoHash: Buffer;
  /** The same in 40 lower-case hex digits. */
  infoHashHex: string;
  /** `dn`: what to call it until the metainfo is here. */
  name: string | undefined;
  /** `tr`: announce URLs. */
  trackers: string[];
  /** `x.pe`: where peers may be. */
  peers: PeerAddress[];
  /** `ws`: web seeds (BEP 19). */
  webSeeds: string[];
}

function invalid(message: string, cause?: unknown): TorrentError {
  return new TorrentError('InvalidMagnet', `magnet link: ${message}`, { cause });
}

/** A value for a message: bounded, and without control characters. */
function shown(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

function decode(text: string, key: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw invalid(`${key} is not percent-encoded UTF-8: ${shown(text)}`, cause);
  }
}

/** RFC 4648 without padding: 32 characters are 20 bytes. */
function fromBase32(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(20);
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const character of text.toUpperCase()) {
    const digit = BASE32.indexOf(character);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (value >>> bits) & 0xff;
  }
  return bytes;
}

function readInfoHash(digits: string): Buffer {
  if (/^[0-9a-f]{40}$/i.test(digits)) return Buffer.from(digits, 'hex');
  const bytes = digits.length === 32 ? fromBase32(digits) : undefined;
  if (bytes !== undefined) return bytes;
  throw invalid(`an info hash is 40 hex digits or 32 letters of base32, not ${shown(digits)}`);
}

function readPeer(text: string): PeerAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/\s]+)):([0-9]{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const isHost =
    match?.[1] !== undefined
      ? ipaddr.IPv6.isValid(host)
      : ipaddr.IPv4.isValidFourPartDecimal(host) || (host.length <= 253 && /[a-z]/i.test(host));
  if (!isHost || !(port >= 1 && port <= 65535)) {
    throw invalid(`a peer (x.pe) is HOST:PORT or [IPv6]:PORT, not ${shown(text)}`);
  }
  return { host, port };
}

function readUrl(text: string, key: string, protocols: readonly string[]): string {
  if (!URL.canParse(text)) throw invalid(`${key} is not a URL: ${shown(text)}`);
  if (!protocols.includes(new URL(text).protocol)) {
    throw invalid(`${key} must begin with ${protocols.join(' or ')}, not ${shown(text)}`);
  }
  return text;
}

function addTo<T>(list: T[], entry: T, key: string): void {
  if (list.length >= MAX_MAGNET_ENTRIES) throw invalid(`more than ${MAX_MAGNET_ENTRIES} of ${key}`);
  list.push(entry);
}

/**
 * Reads a magnet link. Parameters that are not known are skipped; those that are must make sense.
 * @throws TorrentError InvalidMagnet, or UnsupportedMetainfo for a link of version 2 alone (BEP 52).
 */
export function parseMagnet(uri: string): Magnet {
  if (uri.length > MAX_MAGNET_CHARACTERS) throw invalid(`longer than ${MAX_MAGNET_CHARACTERS} characters`);
  const match = /^magnet:\?(.*)$/i.exec(uri.trim());
  if (match === null) throw invalid(`it must begin with magnet:? — got ${shown(uri)}`);
  let infoHash: Buffer | undefined;
  let isVersion2 = false;
  let name: string | undefined;
  const [trackers, peers, webSeeds]: [string[], PeerAddress[], string[]] = [[], [], []];
  for (const parameter of (match[1] ?? '').split('&')) {
    const equals = parameter.indexOf('=');
    if (equals <= 0) continue;
    // Several of one kind may be numbered: tr.1, tr.2.
    const key = parameter
      .slice(0, equals)
      .toLowerCase()
      .replace(/\.\d+$/, '');
    const raw = parameter.slice(equals + 1);
    if (key === 'xt') {
      const topic = decode(raw, key);
      if (topic.toLowerCase().startsWith(BTMH)) isVersion2 = true;
      if (!topic.toLowerCase().startsWith(BTIH)) continue;
      const found = readInfoHash(topic.slice(BTIH.length));
      if (infoHash !== undefined && !infoHash.equals(found)) throw invalid('it names two torrents');
      infoHash = found;
    } else if (key === 'dn') name ??= decode(raw.replaceAll('+', ' '), key).replaceAll(/\p{Cc}/gu, '?');
    else if (key === 'tr')
      addTo(trackers, readUrl(decode(raw, key), key, ['http:', 'https:', 'udp:', 'ws:', 'wss:']), key);
    else if (key === 'ws') addTo(webSeeds, readUrl(decode(raw, key), key, ['http:', 'https:']), key);
    else if (key === 'x.pe') addTo(peers, readPeer(decode(raw, key)), key);
  }
  if (infoHash === undefined) {
    if (isVersion2) {
      throw new TorrentError('UnsupportedMetainfo', 'magnet link: version 2 only (urn:btmh, BEP 52)');
    }
    throw invalid('it names no torrent: xt=urn:btih:INFOHASH is missing');
  }
  return { infoHash, infoHashHex: infoHash.toString('hex'), name, trackers, peers, webSeeds };
}

/** Makes a magnet link; parseMagnet() reads the same out of it. */
export function formatMagnet(
  magnet: Pick<Magnet, 'infoHashHex'> & Partial<Pick<Magnet, 'name' | 'trackers' | 'peers' | 'webSeeds'>>,
): string {
  const parts = [`xt=${BTIH}${magnet.infoHashHex}`];
  if (magnet.name !== undefined) parts.push(`dn=${encodeURIComponent(magnet.name)}`);
  for (const url of magnet.trackers ?? []) parts.push(`tr=${encodeURIComponent(url)}`);
  for (const { host, port } of magnet.peers ?? []) {
    parts.push(`x.pe=${host.includes(':') ? `[${host}]` : host}:${port}`);
  }
  for (const url of magnet.webSeeds ?? []) parts.push(`ws=${encodeURIComponent(url)}`);
  return `magnet:?${parts.join('&')}`;
}
