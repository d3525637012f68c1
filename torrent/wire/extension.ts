// The extension protocol's handshake (BEP 10), and how own agents know each other: the extension `enxame`.
// Invariant: a peer's handshake is a hint; what is out of range in it counts as not said, and never costs more
// than the message that carried it.
import { type BencodeValue, decodeBencodePrefix, encodeBencode, isDictionary } from '../bencode.ts';
import { BLOCK_BYTES, MAX_RUN_BYTES } from './messages.ts';
import { METADATA_EXTENSION } from './metadata-message.ts';
import { EXCHANGE_EXTENSION } from './peer-exchange.ts';

/** The name that marks own agents under BEP 10. */
export const OWN_EXTENSION = 'enxame';

/** The key under which own agents say how long a run of blocks they take in one message. */
const RUN_KEY = 'enxame_run';

/** Our ids of extended messages: what peers have to use when they send us one. */
const OWN_ID = 1;
export const METADATA_ID = 2;
export const EXCHANGE_ID = 3;
export const DONT_HAVE_ID = 4;

/** A piece that was announced is lost (BEP 54). */
export const DONT_HAVE_EXTENSION = 'lt_donthave';

/** Requests that we let wait, as BEP 10 `reqq` tells peers. */
export const OWN_REQUEST_QUEUE = 2000;

/** Requests that a peer lets wait if it does not say: what libtorrent assumes. */
export const DEFAULT_REQUEST_QUEUE = 250;

const MAX_CLIENT_CHARACTERS = 64;
const MAX_EXTENSIONS = 64;

/** What we say. */
export interface OwnExtensionHandshake {
  client: string;
  /** Where we listen; left out if 0. */
  listenPort: number;
  /** The peer's address as we see it: 4 or 16 bytes. */
  yourIp?: Uint8Array;
  /** We have all and only upload. */
  uploadOnly: boolean;
  /** Left out while we lack the metadata (BEP 9). */
  metadataBytes?: number;
  /** False leaves the mark of own agents out. */
  ownAgent: boolean;
  /** False leaves peer exchange (BEP 11) out. */
  exchangesPeers: boolean;
}

/** What a peer says, as far as it makes sense. */
export interface ExtensionHandshake {
  /** Extension names with the ids (1 to 255) that the peer wants to see; 0 switches one off. */
  ids: ReadonlyMap<string, number>;
  /** True if it carries our own extension. */
  ownAgent: boolean;
  /** The longest run that it takes, a multiple of 16 KiB; 0 if it is no own agent or takes single blocks only. */
  runBytes: number;
  client: string | undefined;
  listenPort: number | undefined;
  /** At least 1. */
  requestQueue: number | undefined;
  uploadOnly: boolean | undefined;
  metadataBytes: number | undefined;
  /** Our address as the peer sees it. */
  yourIp: Buffer | undefined;
}

/** The payload of our handshake (extended message 0). */
export function encodeExtensionHandshake(own: OwnExtensionHandshake): Buffer {
  const m: Record<string, number> = {
    [METADATA_EXTENSION]: METADATA_ID,
    [DONT_HAVE_EXTENSION]: DONT_HAVE_ID,
  };
  if (own.exchangesPeers) m[EXCHANGE_EXTENSION] = EXCHANGE_ID;
  if (own.ownAgent) m[OWN_EXTENSION] = OWN_ID;
  const dictionary: Record<string, number | string | Uint8Array | Record<string, number>> = {
    m,
    reqq: OWN_REQUEST_QUEUE,
    upload_only: own.uploadOnly ? 1 : 0,
    v: own.client,
  };
  if (own.ownAgent) dictionary[RUN_KEY] = MAX_RUN_BYTES;
  if (own.metadataBytes !== undefined) dictionary.metadata_size = own.metadataBytes;
  if (own.listenPort > 0) dictionary.p = own.listenPort;
  if (own.yourIp !== undefined) dictionary.yourip = own.yourIp;
  return Buffer.from(encodeBencode(dictionary));
}

function integerBetween(value: BencodeValue | undefined, least: number, most: number): number | undefined {
  return typeof value === 'number' && value >= least && value <= most ? value : undefined;
}

function readIds(value: BencodeValue | undefined): Map<string, number> {
  const ids = new Map<string, number>();
  if (!isDictionary(value)) return ids;
  for (const [name, id] of Object.entries(value)) {
    if (ids.size >= MAX_EXTENSIONS) break;
    const valid = integerBetween(id, 0, 255);
    if (valid !== undefined) ids.set(name, valid);
  }
  return ids;
}

/** The ids that a peer wants to see, after all its handshakes: each adds to the ones before (BEP 10). */
export class PeerExtensionIds {
  readonly #ids = new Map<string, number>();

  /** Takes what a handshake says. */
  update(said: ReadonlyMap<string, number>): void {
    for (const [name, id] of said) {
      if (id === 0) this.#ids.delete(name);
      else if (this.#ids.has(name) || this.#ids.size < MAX_EXTENSIONS) this.#ids.set(name, id);
    }
  }

  /** The id to send an extension's messages with; undefined if the peer does not speak it. */
  of(name: string): number | undefined {
    return this.#ids.get(name);
  }
}

/** Control characters would forge lines of a log or a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\u00a0-\uffff]/g, '?').slice(0, MAX_CLIENT_CHARACTERS);
}

/**
 * Reads a peer's handshake. As in other clients keys may be in any order, of repeated ones the first counts, and
 * bytes behind the dictionary are ignored: it is a hint that nobody hashes.
 * @throws TorrentError InvalidBencode if it is not bencode.
 */
export function parseExtensionHandshake(payload: Uint8Array): ExtensionHandshake {
  const { value } = decodeBencodePrefix(payload, { repeatedKeys: 'first' });
  const dictionary = isDictionary(value) ? value : {};
  const ids = readIds(dictionary.m);
  const { v: client, yourip } = dictionary;
  const uploadOnly = integerBetween(dictionary.upload_only, 0, Number.MAX_SAFE_INTEGER);
  const ownAgent = (ids.get(OWN_EXTENSION) ?? 0) > 0;
  const saidRun = integerBetween(dictionary[RUN_KEY], 2 * BLOCK_BYTES, Number.MAX_SAFE_INTEGER) ?? 0;
  const runBytes = Math.min(MAX_RUN_BYTES, saidRun - (saidRun % BLOCK_BYTES));
  return {
    ids,
    ownAgent,
    runBytes: ownAgent ? runBytes : 0,
    client: Buffer.isBuffer(client) ? printable(client.toString('utf8')) : undefined,
    listenPort: integerBetween(dictionary.p, 1, 65535),
    requestQueue: integerBetween(dictionary.reqq, 1, Number.MAX_SAFE_INTEGER),
    uploadOnly: uploadOnly === undefined ? undefined : uploadOnly !== 0,
    metadataBytes: integerBetween(dictionary.metadata_size, 1, 64 * 1024 * 1024),
    // A copy: the payload is valid during the call only.
    yourIp:
      Buffer.isBuffer(yourip) && (yourip.length === 4 || yourip.length === 16)
        ? Buffer.from(yourip)
        : undefined,
  };
}
