/**
 * Who may announce. A tracker that has a secret gives each torrent a key, which stands in its announce URL
 * (`/announce/KEY`, also as the URL data of BEP 41) and nowhere else: whoever has an exported torrent may join
 * that swarm and no other.
 *
 * Invariant: without the right no peer of a swarm is told and nothing changes in it; its counts are everybody's.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { TrackerError } from '../errors.ts';
import type { Verdict } from './agent-tokens.ts';

/** What an announce shows to prove its right. */
export interface Credentials {
  /** What follows `/announce/` in the URL. */
  readonly key: string | undefined;
  /** The bearer token of its Authorization header. */
  readonly token?: string;
  /** What was found of the token: kept with what a connection shows again and again. */
  verdict?: Verdict;
}

const BEARER = /\r\nauthorization: *bearer +([\x21-\x7e]+) *\r\n/i;

/** The bearer token in the headers of a request, which begin and end with a line end; undefined if there is none. */
export function bearerToken(headers: string): string | undefined {
  return BEARER.exec(headers)?.[1];
}

/** Nothing to show. */
export const NO_CREDENTIALS: Credentials = { key: undefined };

/** Decides who may announce. */
export interface Rights {
  /** @throws TrackerError NoRight */
  check(infoHashHex: string, credentials: Credentials): void;
}

/** Everybody may. */
export const OPEN_RIGHTS: Rights = { check: () => undefined };

/** Agents may announce, who have shown a good token, and whoever has the right otherwise. */
export class AgentRights implements Rights {
  readonly #others: Rights | undefined;

  /** @param others the rights of those who are no agents; without them they have none */
  constructor(others: Rights | undefined) {
    this.#others = others;
  }

  check(infoHashHex: string, credentials: Credentials): void {
    const { verdict, key } = credentials;
    if (verdict?.agent !== undefined) return;
    if (this.#others !== undefined && (key !== undefined || this.#others === OPEN_RIGHTS))
      this.#others.check(infoHashHex, credentials);
    else if (verdict?.result === 'unknown')
      throw new TrackerError('TokenUnchecked', 'the token of this announce cannot be checked just now');
    else if (verdict !== undefined)
      throw new TrackerError('NoRight', 'the token of this announce is not a valid one of an agent');
    else throw new TrackerError('NoRight', 'this tracker wants the token of an agent, or a key');
  }
}

const KEY_HEX_DIGITS = 32;
/** Keys that are remembered, so that not every announce makes one anew. */
const MAX_KNOWN_KEYS = 10_000;
/** Shorter secrets can be guessed from a key. */
export const MIN_SECRET_BYTES = 16;

/** The key of a torrent: the first 32 hex digits of HMAC-SHA256(secret, info hash). */
export function announceKey(secret: Uint8Array, infoHashHex: string): string {
  return createHmac('sha256', secret)
    .update(Buffer.from(infoHashHex, 'hex'))
    .digest('hex')
    .slice(0, KEY_HEX_DIGITS);
}

/** Those may announce who show the torrent's key. */
export class KeyRights implements Rights {
  readonly #secret: Uint8Array;
  /** Keys by info hash, the least recently made first. */
  readonly #keys = new Map<string, Buffer>();

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  check(infoHashHex: string, { key }: Credentials): void {
    if (key === undefined)
      throw new TrackerError('NoRight', 'this tracker wants a key: announce to /announce/KEY');
    const shown = Buffer.from(key, 'latin1');
    const expected = this.#keyOf(infoHashHex);
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected))
      throw new TrackerError('NoRight', 'the key in the announce URL is not the key of this torrent');
  }

  #keyOf(infoHashHex: string): Buffer {
    const known = this.#keys.get(infoHashHex);
    if (known !== undefined) return known;
    const key = Buffer.from(announceKey(this.#secret, infoHashHex));
    const [oldest] = this.#keys.keys();
    if (this.#keys.size >= MAX_KNOWN_KEYS && oldest !== undefined) this.#keys.delete(oldest);
    this.#keys.set(infoHashHex, key);
    return key;
  }
}
