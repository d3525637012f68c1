/**
 * The query of an announce (BEP 3, 7, 21, 23) as a checked request. Everything about it that can be judged
 * without knowing the swarm is judged here; what comes out needs no further check.
 *
 * A tracker takes the address that a connection comes from. `ip` is read for those alone who prove that they are
 * agents; from others it is ignored, like `ipv4` and `ipv6`, because anyone could name a third party.
 */
import { CLIENT_PARAMETER, OWN_CLIENT } from '../../torrent/index.ts';
import { TrackerError } from '../errors.ts';
import { checkQueryLength, decodePercent, readBytes, readDigits } from './query.ts';

/** Length of an info hash and of a peer id, in bytes (BEP 3). */
export const HASH_BYTES = 20;
/** Peers in a reply to a request that does not say how many it wants. */
export const DEFAULT_WANTED_PEERS = 50;
/** Most peers in one reply, whatever was asked for. */
export const MAX_WANTED_PEERS = 200;
/** Longest name of a Kubernetes node (a DNS subdomain). */
const MAX_NAME_LENGTH = 253;
const NODE_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
/** The value of a label, as Kubernetes has it. */
const ZONE_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** What is not of these signs is no IP address. */
const ADDRESS = /^[0-9a-fA-F:.]{2,45}$/;
const LARGEST_PORT = 65_535;
const MINUS = 0x2d;

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
  /** Proves that it is the same peer (BEP 7), as a number; 0 where it states none. */
  readonly key: number;
  /** The Kubernetes node that an agent says it runs on; undefined where it states none or no proper name. */
  readonly node: string | undefined;
  /** The zone of that node, likewise. */
  readonly zone: string | undefined;
  /** It says that it is a client of ours: a hint for intervals, which gives no right. */
  readonly isOwn: boolean;
  /** The address that it states for itself, as text that may be none; only to be believed of agents. */
  readonly ip?: string | undefined;
}

/** The parameters that are read. Their numbers are places in `ranges`. */
const PARAMETERS = [
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
  'key',
  'node',
  'zone',
  'ip',
  CLIENT_PARAMETER,
] as const;

type Parameter = (typeof PARAMETERS)[number];

const NUMBERS = Object.fromEntries(PARAMETERS.map((name, number) => [name, number])) as Readonly<
  Record<Parameter, number>
>;
/** Parameters by the length of their names, which nearly tells them apart. */
const BY_LENGTH: readonly (readonly Parameter[])[] = Array.from({ length: 16 }, (_, length) =>
  PARAMETERS.filter((name) => name.length === length),
);

/** Where the values lie in the query that is read: start and end of each; a start of -1 for those that are not there. */
const ranges = new Int32Array(PARAMETERS.length * 2);

const startOf = (name: Parameter) => ranges[NUMBERS[name] * 2] as number;
const endOf = (name: Parameter) => ranges[NUMBERS[name] * 2 + 1] as number;
const isThere = (name: Parameter) => startOf(name) >= 0;

/** What a tracker must not guess: the others may stand in the announce URL as well, and the last one counts. */
const SINGLE: readonly Parameter[] = ['info_hash', 'peer_id'];

/** Hot: finds the parameters of a query. */
function findParameters(query: string): void {
  ranges.fill(-1);
  const { length } = query;
  let start = 0;
  while (start < length) {
    let end = query.indexOf('&', start);
    if (end < 0) end = length;
    let equals = query.indexOf('=', start);
    if (equals < 0 || equals > end) equals = end;
    // Clients add parameters of their own; they are none of our concern.
    for (const name of BY_LENGTH[equals - start] ?? [])
      if (query.startsWith(name, start)) {
        if (isThere(name) && SINGLE.includes(name))
          throw new TrackerError('RepeatedParameter', `${name} is in the query more than once`);
        ranges[NUMBERS[name] * 2] = Math.min(equals + 1, end);
        ranges[NUMBERS[name] * 2 + 1] = end;
      }
    start = end + 1;
  }
}

function required(name: Parameter): void {
  if (!isThere(name)) throw new TrackerError('MissingParameter', `${name} is missing`);
}

function bytesOf(query: string, name: Parameter): Buffer {
  required(name);
  return readBytes(query, name, startOf(name), endOf(name), HASH_BYTES);
}

/** A decimal count of bytes. Counts beyond 2^53 - 1 become that. */
function byteCount(query: string, name: Parameter): number {
  if (!isThere(name)) return 0;
  const count = readDigits(query, startOf(name), endOf(name));
  if (count < 0) throw new TrackerError('BadParameter', `${name} must be a number of bytes, 0 or more`);
  return count;
}

function portNumber(query: string): number {
  required('port');
  const port = endOf('port') - startOf('port') <= 5 ? readDigits(query, startOf('port'), endOf('port')) : 0;
  if (port < 1 || port > LARGEST_PORT)
    throw new TrackerError('BadParameter', `port must be a number from 1 to ${LARGEST_PORT}`);
  return port;
}

/** How many peers to answer with; less than 0 is what a client says that leaves it to the tracker. */
export function wantedOf(stated: number): number {
  return stated < 0 ? DEFAULT_WANTED_PEERS : Math.min(stated, MAX_WANTED_PEERS);
}

function wantedPeers(query: string): number {
  if (!isThere('numwant')) return DEFAULT_WANTED_PEERS;
  const start = startOf('numwant');
  const isNegative = query.charCodeAt(start) === MINUS && start < endOf('numwant');
  const wanted = readDigits(query, isNegative ? start + 1 : start, endOf('numwant'));
  if (wanted < 0) throw new TrackerError('BadParameter', 'numwant must be a whole number');
  return wantedOf(isNegative ? -wanted : wanted);
}

function announceEvent(query: string): AnnounceEvent {
  if (!isThere('event')) return 'none';
  const event = EVENTS[query.slice(startOf('event'), endOf('event'))];
  if (event === undefined)
    throw new TrackerError('BadParameter', 'event must be started, completed, stopped, paused or absent');
  return event;
}

function flag(query: string, name: Parameter, absent: boolean): boolean {
  if (!isThere(name)) return absent;
  const digit = readDigits(query, startOf(name), endOf(name));
  if (digit < 0 || digit > 1 || endOf(name) - startOf(name) !== 1)
    throw new TrackerError('BadParameter', `${name} must be 0 or 1`);
  return digit === 1;
}

function nameOf(query: string, parameter: Parameter, pattern: RegExp): string | undefined {
  if (!isThere(parameter)) return undefined;
  const length = decodePercent(query, startOf(parameter), endOf(parameter), nameBytes);
  if (length < 1 || length > MAX_NAME_LENGTH) return undefined;
  const name = nameBytes.toString('latin1', 0, length);
  return pattern.test(name) ? name : undefined;
}

function isOwnClient(query: string): boolean {
  const start = startOf(CLIENT_PARAMETER);
  return (
    start >= 0 && endOf(CLIENT_PARAMETER) - start === OWN_CLIENT.length && query.startsWith(OWN_CLIENT, start)
  );
}

const nameBytes = Buffer.alloc(MAX_NAME_LENGTH);

/**
 * The `key` of a peer in 32 bits: eight hex digits as they are, which is what the same client says over UDP;
 * others hashed (FNV-1a). It is compared and never shown.
 */
function keyNumber(query: string): number {
  if (!isThere('key')) return 0;
  const text = query.slice(startOf('key'), endOf('key'));
  if (/^[0-9a-f]{8}$/i.test(text)) return Number.parseInt(text, 16);
  let hash = 0x811c9dc5;
  for (let at = startOf('key'); at < endOf('key'); at += 1)
    hash = Math.imul(hash ^ query.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/**
 * Hot: parses the query of an announce, the part after `?`, one char a byte.
 *
 * @throws TrackerError with what a client's author needs to know
 */
export function parseAnnounce(query: string): AnnounceRequest {
  checkQueryLength(query);
  findParameters(query);
  const infoHash = bytesOf(query, 'info_hash');
  const peerId = bytesOf(query, 'peer_id');
  required('left');
  return {
    infoHashHex: infoHash.toString('hex'),
    peerId,
    port: portNumber(query),
    leftBytes: byteCount(query, 'left'),
    uploadedBytes: byteCount(query, 'uploaded'),
    downloadedBytes: byteCount(query, 'downloaded'),
    event: announceEvent(query),
    wantedPeers: wantedPeers(query),
    compact: flag(query, 'compact', true),
    omitPeerIds: flag(query, 'no_peer_id', false),
    key: keyNumber(query),
    node: nameOf(query, 'node', NODE_NAME),
    zone: nameOf(query, 'zone', ZONE_NAME),
    isOwn: isOwnClient(query),
    ip: nameOf(query, 'ip', ADDRESS),
  };
}
