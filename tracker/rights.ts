/**
 * Who may announce. A tracker that has a secret gives each torrent a key, which stands in its announce URL
 * (`/announce/KEY`, also as the URL data of BEP 41) and nowhere else: whoever has an exported torrent may join
 * that swarm and no other.
 *
 * Invariant: without the right nothing is learned of a swarm and nothing changes in it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { TrackerError } from './errors.ts';

/** What an announce shows to prove its right. */
export interface Credentials {
  /** What follows `/announce/` in the URL. */
  readonly key: string | undefined;
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
