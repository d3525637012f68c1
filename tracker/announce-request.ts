/**
 * The query of an announce (BEP 3, 7, 21, 23) as a checked request. Everything about it that can be judged
 * without knowing the swarm is judged here; what comes out needs no further check.
 *
 * The peer's address is not part of it: a tracker takes the address that a connection comes from. `ip`, `ipv4`
 * and `ipv6` parameters are ignored like every unknown parameter, because anyone could name a third party.
 */
import { TrackerError } from './errors.ts';
import { checkQueryLength, decodePercent, eachParameter, readBytes } from './query.ts';

/** Length of an info hash and of a peer id, in bytes (BEP 3). */
export const HASH_BYTES = 20;
/** Peers in a reply to a request that does not say how many it wants. */
export const DEFAULT_WANTED_PEERS = 50;
/** Most peers in one reply, whatever was asked for. */
export const MAX_WANTED_PEERS = 200;
/** Longest name of a Kubernetes node (a DNS subdomain). */
const MAX_NODE_NAME_LENGTH = 253;
const NODE_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const LARGEST_PORT = 65_535;
/** Digits of 2^64; what is longer is no count of bytes that any client keeps. */
const MAX_DIGITS = 20;

/** `paused` is a partial seed that downloads no more (BEP 21). */
export type AnnounceEvent = 'none' | 'started' | 'completed' | 'stopped' | 'paused';

const EVENTS: Readonly<Record<string, AnnounceEvent>> = {
  __proto__: null as never,
  '': 'none',
  none: 'none',
  empty: 'none',
  started: 'started',
  completed: 'completed',
  stopped: 'stopped',
  paused: 'paused',
};

/** A checked announce. */
export interface AnnounceRequest {
  readonly infoHashHex: string;
  readonly peerId: Buffer;
  /** Where the peer takes connections, 1 to 65535. */
  readonly port: number;
  /** Bytes since `started`, as the peer states them; at most 2^53 - 1. */
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  /** Bytes that the peer still lacks; 2^53 - 1 where it does not know yet (magnet links). */
  readonly leftBytes: number;
  readonly event: AnnounceEvent;
  /** How many peers to answer with, 0 to 200. */
  readonly wantedPeers: number;
  /** The compact form of BEP 23, unless `compact=0` asks for the list of BEP 3. */
  readonly compact: boolean;
  readonly omitPeerIds: boolean;
  /** The Kubernetes node that an agent says it runs on; undefined where it states none or no proper name. */
  readonly node: string | undefined;
}

/** Parses a decimal count of bytes. Counts beyond 2^53 - 1 become that. */
function byteCount(name: string, text: string): number {
  if (!/^\d+$/.test(text) || text.length > MAX_DIGITS)
    throw new TrackerError('BadParameter', `${name} must be a number of bytes, 0 or more`);
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > LARGEST_PORT)
    throw new TrackerError('BadParameter', `port must be a number from 1 to ${LARGEST_PORT}`);
  return port;
}

function wantedPeers(text: string): number {
  if (!/^-?\d{1,20}$/.test(text)) throw new TrackerError('BadParameter', 'numwant must be a whole number');
  const wanted = Number(text);
  return wanted < 0 ? DEFAULT_WANTED_PEERS : Math.min(wanted, MAX_WANTED_PEERS);
}

function announceEvent(text: string): AnnounceEvent {
  const event = EVENTS[text];
  if (event === undefined)
    throw new TrackerError('BadParameter', 'event must be started, completed, stopped, paused or absent');
  return event;
}

function flag(name: string, text: string): boolean {
  if (text !== '0' && text !== '1') throw new TrackerError('BadParameter', `${name} must be 0 or 1`);
  return text === '1';
}

function nodeName(query: string, start: number, end: number): string | undefined {
  const bytes = Buffer.alloc(MAX_NODE_NAME_LENGTH);
  const length = decodePercent(query, start, end, bytes);
  if (length < 1 || length > MAX_NODE_NAME_LENGTH) return undefined;
  const name = bytes.toString('latin1', 0, length);
  return NODE_NAME.test(name) ? name : undefined;
}

/**
 * Parses the query of an announce, the part after `?`, one char a byte.
 *
 * @throws TrackerError with what a client's author needs to know
 */
export function parseAnnounce(query: string): AnnounceRequest {
  checkQueryLength(query);
  const values = new Map<string, [start: number, end: number]>();
  eachParameter(query, (name, start, end) => {
    if (!PARAMETERS.has(name)) return; // Clients add parameters of their own; they are none of our concern.
    if (values.has(name))
      throw new TrackerError('RepeatedParameter', `${name} is in the query more than once`);
    values.set(name, [start, end]);
  });
  const text = (name: string): string | undefined => {
    const range = values.get(name);
    return range && query.slice(range[0], range[1]);
  };
  const required = (name: string): [number, number] => {
    const range = values.get(name);
    if (range === undefined) throw new TrackerError('MissingParameter', `${name} is missing`);
    return range;
  };
  const node = values.get('node');
  return {
    infoHashHex: readBytes(query, 'info_hash', ...required('info_hash'), HASH_BYTES).toString('hex'),
    peerId: readBytes(query, 'peer_id', ...required('peer_id'), HASH_BYTES),
    port: portNumber(query.slice(...required('port'))),
    leftBytes: byteCount('left', query.slice(...required('left'))),
    uploadedBytes: byteCount('uploaded', text('uploaded') ?? '0'),
    downloadedBytes: byteCount('downloaded', text('downloaded') ?? '0'),
    event: announceEvent(text('event') ?? ''),
    wantedPeers: values.has('numwant') ? wantedPeers(text('numwant') ?? '') : DEFAULT_WANTED_PEERS,
    compact: flag('compact', text('compact') ?? '1'),
    omitPeerIds: flag('no_peer_id', text('no_peer_id') ?? '0'),
    node: node && nodeName(query, ...node),
  };
}

const PARAMETERS: ReadonlySet<string> = new Set([
  'info_hash',
  'peer_id',
  'port',
  'uploaded',
  'downloaded',
  'left',
  'event',
  'numwant',
  'compact',
  'no_peer_id',
  'node',
]);
