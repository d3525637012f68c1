/**
 * The messages of the UDP tracker protocol (BEP 15, 41): a datagram as a checked request, and answers as
 * datagrams. What is no request at all is undefined: nobody is answered who may not have asked.
 */
import { CLIENT_PARAMETER, OWN_CLIENT } from '../../torrent/index.ts';
import {
  type AnnounceEvent,
  type AnnounceRequest,
  HASH_BYTES,
  wantedOf,
} from '../announce/announce-request.ts';
import type { Intervals } from '../announce/intervals.ts';
import { eachParameter } from '../announce/query.ts';
import { TrackerError } from '../errors.ts';
import { COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES } from '../swarms/peer-address.ts';
import type { PeerTable } from '../swarms/peer-table.ts';
import type { Announced } from '../swarms/registry.ts';
import type { SwarmCounts } from '../swarms/swarm.ts';

const PROTOCOL_ID = 0x41727101980n;
const Action = { Connect: 0, Announce: 1, Scrape: 2, Error: 3 } as const;

const HEAD_BYTES = 16;
const ANNOUNCE_BYTES = 98;
/** Info hashes that fit a scrape; more than one datagram holds is no request. */
export const MAX_UDP_SCRAPED = 74;
const EVENTS: readonly AnnounceEvent[] = ['none', 'completed', 'started', 'stopped'];
/** Answers stay below the least MTU of IPv6, less its headers. */
const MAX_ANSWER_BYTES = 1_232;

/** A request over UDP. */
export type UdpRequest =
  | { readonly kind: 'connect'; readonly transaction: number }
  | {
      readonly kind: 'announce';
      readonly transaction: number;
      readonly connectionId: Uint8Array;
      /** The announce; reading it fails with a TrackerError where it makes no sense. */
      readonly read: () => AnnounceRequest;
      /** The URL data of BEP 41: path and query of the announce URL. */
      readonly urlData: string;
    }
  | {
      readonly kind: 'scrape';
      readonly transaction: number;
      readonly connectionId: Uint8Array;
      readonly infoHashes: readonly string[];
    };

/** Reads a datagram; undefined for what is no request. */
export function readUdpRequest(datagram: Buffer): UdpRequest | undefined {
  if (datagram.length < HEAD_BYTES) return undefined;
  const action = datagram.readUInt32BE(8);
  const transaction = datagram.readUInt32BE(12);
  const connectionId = datagram.subarray(0, 8);
  if (action === Action.Connect)
    return datagram.readBigUInt64BE(0) === PROTOCOL_ID ? { kind: 'connect', transaction } : undefined;
  if (action === Action.Announce && datagram.length >= ANNOUNCE_BYTES) {
    const urlData = readUrlData(datagram.subarray(ANNOUNCE_BYTES));
    return {
      kind: 'announce',
      transaction,
      connectionId,
      read: () => readAnnounce(datagram, urlData),
      urlData,
    };
  }
  if (action !== Action.Scrape) return undefined;
  const count = Math.floor((datagram.length - HEAD_BYTES) / HASH_BYTES);
  if (count === 0 || count > MAX_UDP_SCRAPED) return undefined;
  const infoHashes = Array.from({ length: count }, (_, number) => {
    const start = HEAD_BYTES + number * HASH_BYTES;
    return datagram.toString('hex', start, start + HASH_BYTES);
  });
  return { kind: 'scrape', transaction, connectionId, infoHashes };
}

function byteCount(datagram: Buffer, at: number): number {
  const count = datagram.readBigUInt64BE(at);
  return count > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(count);
}

function readAnnounce(datagram: Buffer, urlData: string): AnnounceRequest {
  const event = EVENTS[datagram.readUInt32BE(80)];
  if (event === undefined) throw new TrackerError('BadParameter', 'event must be 0, 1, 2 or 3');
  const port = datagram.readUInt16BE(96);
  if (port === 0) throw new TrackerError('BadParameter', 'port must be a number from 1 to 65535');
  return {
    infoHashHex: datagram.toString('hex', 16, 36),
    peerId: datagram.subarray(36, 56),
    downloadedBytes: byteCount(datagram, 56),
    leftBytes: byteCount(datagram, 64),
    uploadedBytes: byteCount(datagram, 72),
    event,
    // The address at 84 is not looked at: anyone could name a third party.
    key: datagram.readUInt32BE(88),
    wantedPeers: wantedOf(datagram.readInt32BE(92)),
    port,
    compact: true,
    omitPeerIds: true,
    node: undefined,
    zone: undefined,
    isOwn: isOwnClient(urlData),
  };
}

/** Whether the query of a URL has the word of our own client; of several the last one counts. */
function isOwnClient(url: string): boolean {
  let isOwn = false;
  const question = url.indexOf('?');
  if (question < 0) return false;
  const query = url.slice(question + 1);
  eachParameter(query, (name, start, end) => {
    if (name === CLIENT_PARAMETER) isOwn = query.slice(start, end) === OWN_CLIENT;
  });
  return isOwn;
}

/** The options of BEP 41: `type, length, data`, of which 0 ends them, 1 is padding and 2 is URL data. */
function readUrlData(options: Buffer): string {
  let text = '';
  let at = 0;
  while (at < options.length) {
    const type = options[at] as number;
    at += 1;
    if (type === 0) break;
    if (type === 1) continue;
    const length = options[at];
    if (length === undefined || at + 1 + length > options.length) break;
    if (type === 2) text += options.toString('latin1', at + 1, at + 1 + length);
    at += 1 + length;
  }
  return text;
}

function answer(action: number, transaction: number, bytes: number): Buffer {
  const message = Buffer.alloc(bytes);
  message.writeUInt32BE(action, 0);
  message.writeUInt32BE(transaction, 4);
  return message;
}

/** The answer to connect, of the request's own length. */
export function connectAnswer(transaction: number, connectionId: Uint8Array): Buffer {
  const message = answer(Action.Connect, transaction, 16);
  message.set(connectionId, 8);
  return message;
}

/** The answer to an announce: peers of the family that was asked over, as BEP 15 has it. */
export function udpAnnounceAnswer(
  transaction: number,
  table: PeerTable,
  announced: Announced,
  { intervalSeconds }: Intervals,
  isIpv6: boolean,
): Buffer {
  const length = isIpv6 ? COMPACT_IPV6_BYTES : COMPACT_IPV4_BYTES;
  const room = Math.floor((MAX_ANSWER_BYTES - 20) / length);
  const message = answer(Action.Announce, transaction, 20 + room * length);
  message.writeUInt32BE(intervalSeconds, 8);
  message.writeUInt32BE(announced.counts.leechers, 12);
  message.writeUInt32BE(announced.counts.seeders, 16);
  let end = 20;
  for (let place = 0; place < announced.pickedCount && end < message.length; place += 1) {
    const peer = announced.picked[place] as number;
    if (table.compactLength(peer) !== length) continue;
    const start = peer * COMPACT_IPV6_BYTES;
    message.set(table.compact.subarray(start, start + length), end);
    end += length;
  }
  return message.subarray(0, end);
}

/** The answer to a scrape, in the order it was asked. */
export function udpScrapeAnswer(transaction: number, counts: readonly SwarmCounts[]): Buffer {
  const message = answer(Action.Scrape, transaction, 8 + counts.length * 12);
  for (const [number, { seeders, completed, leechers }] of counts.entries()) {
    message.writeUInt32BE(seeders, 8 + number * 12);
    message.writeUInt32BE(Math.min(completed, 0xffffffff), 12 + number * 12);
    message.writeUInt32BE(leechers, 16 + number * 12);
  }
  return message;
}

/** The answer to what failed. */
export function udpErrorAnswer(transaction: number, reason: string): Buffer {
  return Buffer.concat([answer(Action.Error, transaction, 8), Buffer.from(reason)]);
}
