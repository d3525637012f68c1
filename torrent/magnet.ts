// Magnet links (BEP 9, BEP 53's x.pe, BEP 19's ws). Invariant: a Magnet that exists names exactly one torrent of
// version 1, and every address and URL in it can be used as it is. Only the info hash must be right: another parameter
// that is not is left out and named. Whatever formatMagnet() makes, parseMagnet() takes whole.
import ipaddr from 'ipaddr.js';
import type { PeerAddress } from './discovery/discovery.ts';
import { TorrentError } from './errors.ts';

/** Characters of a link that are accepted. */
const MAX_MAGNET_CHARACTERS = 64 * 1024;

/** Trackers, peers and web seeds of one link that are taken, of each kind; the others are left out. */
const MAX_MAGNET_ENTRIES = 200;

/** Parameters that are left out and named; the others are counted. */
const MAX_NAMED = 5;

const TRACKER_PROTOCOLS = ['http:', 'https:', 'udp:', 'ws:', 'wss:'];
const WEB_SEED_PROTOCOLS = ['http:', 'https:'];

const CONTROL_CHARACTERS = /\p{Cc}/gu;

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
  /** Parameters that make no sense and were left out, in a few short lines. */
  ignored: string[];
}

function invalid(message: string, cause?: unknown): TorrentError {
  return new TorrentError('InvalidMagnet', `magnet link: ${message}`, { cause });
}

/** A value for a message: bounded, and in quotes. What puts it on a terminal takes out what does harm there. */
function shown(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

/** Undefined for what is no percent-encoded UTF-8. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
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

function readTopic(raw: string): string {
  const topic = decode(raw);
  if (topic === undefined) throw invalid(`xt is not percent-encoded UTF-8: ${shown(raw)}`);
  return topic;
}

/** A peer's address, or what is wrong with it. */
function readPeer(text: string): PeerAddress | string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/\s]+)):([0-9]{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const isHost =
    match?.[1] !== undefined
      ? ipaddr.IPv6.isValid(host)
      : ipaddr.IPv4.isValidFourPartDecimal(host) || (host.length <= 253 && /[a-z]/i.test(host));
  if (isHost && port >= 1 && port <= 65535) return { host, port };
  return `is HOST:PORT or [IPv6]:PORT, not ${shown(text)}`;
}

/** What is wrong with a URL, or undefined. */
function urlFault(text: string, protocols: readonly string[]): string | undefined {
  if (!URL.canParse(text)) return `is not a URL: ${shown(text)}`;
  if (protocols.includes(new URL(text).protocol)) return undefined;
  return `must begin with ${protocols.join(' or ')}, not ${shown(text)}`;
}

/** Control characters must not reach a terminal; what is no Unicode could not be written in a link. */
function cleanName(name: string): string {
  return name.toWellFormed().replaceAll(CONTROL_CHARACTERS, '?');
}

/** The parameters of one link besides its topic. */
class Parameters {
  name: string | undefined;
  readonly trackers: string[] = [];
  readonly peers: PeerAddress[] = [];
  readonly webSeeds: string[] = [];
  readonly #ignored: string[] = [];
  #unnamed = 0;

  get ignored(): string[] {
    return this.#unnamed === 0 ? this.#ignored : [...this.#ignored, `${this.#unnamed} more`];
  }

  read(key: string, raw: string): void {
    if (key === 'dn') this.#name(raw);
    else if (key === 'tr') this.#url(raw, key, TRACKER_PROTOCOLS, this.trackers);
    else if (key === 'ws') this.#url(raw, key, WEB_SEED_PROTOCOLS, this.webSeeds);
    else if (key === 'x.pe') {
      const peer = this.#decoded(raw, key, readPeer);
      if (typeof peer === 'string') this.#ignore(key, peer);
      else if (peer !== undefined) this.#add(this.peers, peer, key);
    }
  }

  #name(raw: string): void {
    const name = this.#decoded(raw.replaceAll('+', ' '), 'dn', cleanName);
    this.name ??= name;
  }

  #url(raw: string, key: string, protocols: readonly string[], list: string[]): void {
    const url = this.#decoded(raw, key, (text) => text);
    if (url === undefined) return;
    const fault = urlFault(url, protocols);
    if (fault === undefined) this.#add(list, url, key);
    else this.#ignore(key, fault);
  }

  #decoded<T>(raw: string, key: string, read: (text: string) => T): T | undefined {
    const text = decode(raw);
    if (text !== undefined) return read(text);
    this.#ignore(key, `is not percent-encoded UTF-8: ${shown(raw)}`);
    return undefined;
  }

  #add<T>(list: T[], entry: T, key: string): void {
    if (list.length < MAX_MAGNET_ENTRIES) list.push(entry);
    else this.#ignore(key, `is there more than ${MAX_MAGNET_ENTRIES} times`);
  }

  #ignore(key: string, fault: string): void {
    const line = `${key} ${fault}`;
    if (this.#ignored.length < MAX_NAMED && !this.#ignored.includes(line)) this.#ignored.push(line);
    else this.#unnamed++;
  }
}

/**
 * Reads a magnet link. Parameters that are not known are skipped; those that are known and make no sense are left out
 * and named, but for the topic (`xt`).
 * @throws TorrentError InvalidMagnet, or UnsupportedMetainfo for a link of version 2 alone (BEP 52).
 */
export function parseMagnet(uri: string): Magnet {
  if (uri.length > MAX_MAGNET_CHARACTERS) throw invalid(`longer than ${MAX_MAGNET_CHARACTERS} characters`);
  const match = /^magnet:\?(.*)$/is.exec(uri.trim());
  if (match === null) throw invalid(`it must begin with magnet:? — got ${shown(uri)}`);
  let infoHash: Buffer | undefined;
  let isVersion2 = false;
  const parameters = new Parameters();
  for (const parameter of (match[1] ?? '').split('&')) {
    const equals = parameter.indexOf('=');
    if (equals <= 0) continue;
    // Several of one kind may be numbered: tr.1, tr.2.
    const key = parameter
      .slice(0, equals)
      .toLowerCase()
      .replace(/\.\d+$/, '');
    const raw = parameter.slice(equals + 1);
    if (key !== 'xt') {
      parameters.read(key, raw);
      continue;
    }
    const topic = readTopic(raw);
    if (topic.toLowerCase().startsWith(BTMH)) isVersion2 = true;
    if (!topic.toLowerCase().startsWith(BTIH)) continue;
    const found = readInfoHash(topic.slice(BTIH.length));
    if (infoHash !== undefined && !infoHash.equals(found)) throw invalid('it names two torrents');
    infoHash = found;
  }
  if (infoHash === undefined) {
    if (isVersion2) {
      throw new TorrentError('UnsupportedMetainfo', 'magnet link: version 2 only (urn:btmh, BEP 52)');
    }
    throw invalid('it names no torrent: xt=urn:btih:INFOHASH is missing');
  }
  const { name, trackers, peers, webSeeds, ignored } = parameters;
  return { infoHash, infoHashHex: infoHash.toString('hex'), name, trackers, peers, webSeeds, ignored };
}

/** A parameter's value for a link. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** Those of a list that parseMagnet() takes. */
function usable(urls: readonly string[], protocols: readonly string[]): string[] {
  return urls
    .filter((url) => urlFault(url.toWellFormed(), protocols) === undefined)
    .slice(0, MAX_MAGNET_ENTRIES);
}

/**
 * Makes a magnet link. parseMagnet() reads the same out of it: what it would leave out (URLs that are none, more
 * entries or characters than it takes) is not written.
 */
export function formatMagnet(
  magnet: Pick<Magnet, 'infoHashHex'> & Partial<Pick<Magnet, 'name' | 'trackers' | 'peers' | 'webSeeds'>>,
): string {
  const { infoHashHex, name, trackers = [], peers = [], webSeeds = [] } = magnet;
  const addresses = peers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  const parameters = [
    ...(name === undefined ? [] : [`dn=${encoded(cleanName(name))}`]),
    ...usable(trackers, TRACKER_PROTOCOLS).map((url) => `tr=${encoded(url)}`),
    ...addresses
      .filter((address) => typeof readPeer(address) !== 'string')
      .slice(0, MAX_MAGNET_ENTRIES)
      .map((address) => `x.pe=${encodeURIComponent(address).replaceAll(/%3A|%5B|%5D/g, decodeURIComponent)}`),
    ...usable(webSeeds, WEB_SEED_PROTOCOLS).map((url) => `ws=${encoded(url)}`),
  ];
  let link = `magnet:?xt=${BTIH}${infoHashHex}`;
  for (const parameter of parameters)
    if (link.length + 1 + parameter.length <= MAX_MAGNET_CHARACTERS) link += `&${parameter}`;
  return link;
}
