// What a tracker answers (BEP 3, 7, 15, 23, 24, 31). Invariant: an AnnounceReply has intervals that can be obeyed and
// addresses that can be dialled, whatever the tracker sent: what is odd costs itself and nothing beside it. What is no
// answer of a tracker is an error.
import ipaddr from 'ipaddr.js';
import { type BencodeValue, decodeBencodePrefix, isDictionary } from '../bencode.ts';
import { TorrentError } from '../errors.ts';
import type { PeerAddress } from './discovery.ts';

/** Largest reply that is read, in bytes, also after decompression. */
export const MAX_REPLY_BYTES = 1024 * 1024;

/** Addresses taken from one reply; more would only be a burden. */
export const MAX_REPLY_PEERS = 2000;

/** Bounds of the interval between announces, and what replaces one that makes no sense. */
export const MIN_INTERVAL_SECONDS = 5;
export const MAX_INTERVAL_SECONDS = 2 * 60 * 60;
export const DEFAULT_INTERVAL_SECONDS = 30 * 60;

/** Least time between announces where a tracker names no `min interval`. */
const DEFAULT_MIN_INTERVAL_SECONDS = 60;

/** Characters of a tracker's message that are passed on. */
const MAX_MESSAGE_LENGTH = 200;

const MAX_REPLY_VALUES = 100_000;
const IPV4_ENTRY_BYTES = 6;
const IPV6_ENTRY_BYTES = 18;

/** A tracker's peers and wishes. */
export interface AnnounceReply {
  kind: 'reply';
  peers: PeerAddress[];
  /** Seconds until the next announce, within the bounds above. */
  intervalSeconds: number;
  /** Seconds before which no announce may be made, at most the interval. */
  minIntervalSeconds: number;
  /** To be given back in the next announce. */
  trackerId?: Buffer;
  seeders?: number;
  leechers?: number;
  /** What the tracker has to say (`warning message`). */
  warning?: string;
  /** The tracker that was asked took the torrent for another replica's, and asked that one (our own trackers only). */
  isHandedOn?: boolean;
  /** What in the lists of peers is malformed and was left out, in one line. */
  leftOut?: string;
}

/** A tracker's refusal (`failure reason`). */
export interface AnnounceRefusal {
  kind: 'refusal';
  reason: string;
  /** BEP 31: seconds after which to try again, Infinity for never; undefined where the tracker does not say. */
  retryInSeconds?: number;
}

function message(value: BencodeValue | undefined): string {
  const text = Buffer.isBuffer(value) ? value.toString('utf8') : '';
  // Control characters must not reach a terminal or a status field.
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MAX_MESSAGE_LENGTH);
}

function count(value: BencodeValue | undefined): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

/** True for addresses that somebody can listen on; loopback is, for trackers and peers of one machine. */
function isDialable(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return !['unspecified', 'broadcast', 'multicast'].includes(address.range());
}

function toPeer(bytes: Uint8Array, addressBytes: number): PeerAddress | undefined {
  const port = ((bytes[addressBytes] ?? 0) << 8) | (bytes[addressBytes + 1] ?? 0);
  if (port === 0) return undefined;
  const address = ipaddr.process(ipaddr.fromByteArray([...bytes.subarray(0, addressBytes)]).toString());
  return isDialable(address) ? { host: address.toString(), port } : undefined;
}

/** A list of peers that is being read. */
interface PeerLists {
  readonly peers: PeerAddress[];
  /** What is malformed. */
  readonly leftOut: string[];
}

/** Reads whole entries; what is left of one at the end is left out. */
function readCompact(value: Buffer, entryBytes: number, key: string, { peers, leftOut }: PeerLists): void {
  const rest = value.length % entryBytes;
  if (rest !== 0) leftOut.push(`${key} has ${value.length} bytes, no multiple of ${entryBytes}`);
  for (let at = 0; at + entryBytes <= value.length && peers.length < MAX_REPLY_PEERS; at += entryBytes) {
    const peer = toPeer(value.subarray(at, at + entryBytes), entryBytes - 2);
    if (peer !== undefined) peers.push(peer);
  }
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** An entry of the list form (BEP 3): an address or a DNS name; undefined if it cannot be dialled. */
function readEntry(entry: BencodeValue): PeerAddress | undefined {
  if (!isDictionary(entry) || !Buffer.isBuffer(entry.ip) || typeof entry.port !== 'number') return undefined;
  const { port } = entry;
  if (port < 1 || port > 65535) return undefined;
  const host = entry.ip.toString('latin1');
  // A zone (fe80::1%eth0) is one of the tracker's machine, not of ours.
  if (host.includes('%')) return undefined;
  if (host.length <= 45 && ipaddr.isValid(host)) {
    // The lenient forms of IPv4 (octal, fewer parts) are nobody's address.
    if (!host.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(host)) return undefined;
    const address = ipaddr.process(host);
    return isDialable(address) ? { host: address.toString(), port } : undefined;
  }
  return HOST_NAME.test(host) && !/^[0-9.]+$/.test(host) ? { host, port } : undefined;
}

/** One key of peers, in either form (BEP 3, 7, 23); entries that cannot be dialled are left out. */
function readPeers(list: BencodeValue | undefined, entryBytes: number, key: string, lists: PeerLists): void {
  if (list === undefined) return;
  if (Buffer.isBuffer(list)) readCompact(list, entryBytes, key, lists);
  else if (Array.isArray(list)) {
    for (const entry of list) {
      if (lists.peers.length >= MAX_REPLY_PEERS) break;
      const peer = readEntry(entry);
      if (peer !== undefined) lists.peers.push(peer);
    }
  } else lists.leftOut.push(`${key} is neither a string nor a list`);
}

function readInterval(value: BencodeValue | undefined): number {
  if (typeof value !== 'number' || value <= 0) return DEFAULT_INTERVAL_SECONDS;
  return Math.min(Math.max(value, MIN_INTERVAL_SECONDS), MAX_INTERVAL_SECONDS);
}

/** BEP 31: minutes as an integer or in digits, or `never`. */
function readRetry(value: BencodeValue | undefined): number | undefined {
  const text = Buffer.isBuffer(value) ? value.toString('latin1').trim().toLowerCase() : String(value);
  if (text === 'never') return Number.POSITIVE_INFINITY;
  if (!/^[0-9]{1,6}$/.test(text)) return undefined;
  return Number(text) * 60;
}

/**
 * Parses the body of a reply to an announce. Keys may be in any order, of repeated ones the first counts, and bytes
 * behind the dictionary are left alone: nobody hashes a reply, and its peers are of use.
 * @throws TorrentError InvalidTrackerReply
 */
export function parseAnnounceReply(bytes: Uint8Array): AnnounceReply | AnnounceRefusal {
  if (bytes.length > MAX_REPLY_BYTES) {
    throw new TorrentError('InvalidTrackerReply', `a reply of more than ${MAX_REPLY_BYTES} bytes`);
  }
  let reply: BencodeValue;
  try {
    reply = decodeBencodePrefix(bytes, { maxValues: MAX_REPLY_VALUES, repeatedKeys: 'first' }).value;
  } catch (cause) {
    throw new TorrentError('InvalidTrackerReply', `the reply is not bencoded (${(cause as Error).message})`, {
      cause,
    });
  }
  if (!isDictionary(reply)) throw new TorrentError('InvalidTrackerReply', 'the reply is not a dictionary');
  const failure = reply['failure reason'];
  if (failure !== undefined) {
    const reason = message(failure) || 'no reason given';
    return { kind: 'refusal', reason, retryInSeconds: readRetry(reply['retry in']) };
  }
  const intervalSeconds = readInterval(reply.interval);
  const minInterval = count(reply['min interval']) ?? DEFAULT_MIN_INTERVAL_SECONDS;
  const trackerId = reply['tracker id'];
  const lists: PeerLists = { peers: [], leftOut: [] };
  readPeers(reply.peers, IPV4_ENTRY_BYTES, 'peers', lists);
  readPeers(reply.peers6, IPV6_ENTRY_BYTES, 'peers6', lists);
  return {
    kind: 'reply',
    peers: lists.peers,
    intervalSeconds,
    minIntervalSeconds: Math.min(minInterval, intervalSeconds),
    trackerId: Buffer.isBuffer(trackerId) && trackerId.length <= 1024 ? Buffer.from(trackerId) : undefined,
    seeders: count(reply.complete),
    leechers: count(reply.incomplete),
    warning: message(reply['warning message']) || undefined,
    isHandedOn: reply['handed on'] === 1 || undefined,
    leftOut: lists.leftOut.join(', ') || undefined,
  };
}

/** A refusal in the words of a tracker. */
export function refusal(reason: Buffer): AnnounceRefusal {
  return { kind: 'refusal', reason: message(reason) || 'no reason given' };
}

/**
 * Reads the answer of a UDP tracker (BEP 15), from its interval on.
 *
 * @param bytes at least 12
 * @param isIpv6 whether the tracker was asked over IPv6: its peers are then of that kind
 */
export function datagramReply(bytes: Buffer, isIpv6: boolean): AnnounceReply {
  const intervalSeconds = readInterval(bytes.readInt32BE(0));
  const lists: PeerLists = { peers: [], leftOut: [] };
  readCompact(bytes.subarray(12), isIpv6 ? IPV6_ENTRY_BYTES : IPV4_ENTRY_BYTES, 'the list of peers', lists);
  return {
    kind: 'reply',
    peers: lists.peers,
    intervalSeconds,
    minIntervalSeconds: Math.min(DEFAULT_MIN_INTERVAL_SECONDS, intervalSeconds),
    leechers: bytes.readUInt32BE(4),
    seeders: bytes.readUInt32BE(8),
    leftOut: lists.leftOut.join(', ') || undefined,
  };
}
