/**
 * An announce on its way from the replica that was asked to the owner of its torrent, as the value of one header. What a
 * client wrote travels as data inside of it, so that nothing of it can make the request another one, or none.
 *
 * Invariant: what opens was sealed by a replica that has the same secret, for this replica, a minute ago at most.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { RawAnnounce } from '../announce/raw-announce.ts';

/** The header by which one replica tells another who asks. */
export const FORWARDED_HEADER = 'x-enxame-forwarded';

/** How far the clocks of two replicas may be apart, the way between them included. */
const MAX_AGE_SECONDS = 60;
/** Longer ones are not handed on: Node reads 16 KiB of headers. */
const MAX_SEALED_BYTES = 12_000;
const IPV4_OR_IPV6 = /^([0-9a-f]{12}|[0-9a-f]{36})$/;

/** What is inside. Strings of clients have one char a byte. */
interface Contents {
  readonly to: string;
  readonly atSeconds: number;
  /** The compact address of whoever asks, in hex. */
  readonly host: string;
  readonly query: string;
  readonly key?: string;
  readonly token?: string;
}

function proofOf(secret: Uint8Array, text: string): Buffer {
  return createHmac('sha256', secret).update('forwarded\n').update(text).digest();
}

/**
 * Makes the header's value.
 *
 * @param to the name of the replica that may open it
 * @param nowSeconds since 1970
 * @returns undefined where it is too long to travel
 */
export function sealAnnounce(
  { query, credentials }: RawAnnounce,
  host: Uint8Array,
  to: string,
  secret: Uint8Array,
  nowSeconds: number,
): string | undefined {
  const { key, token } = credentials;
  const contents: Contents = {
    to,
    atSeconds: nowSeconds,
    host: Buffer.from(host).toString('hex'),
    query,
    ...(key === undefined ? {} : { key }),
    ...(token === undefined ? {} : { token }),
  };
  const text = Buffer.from(JSON.stringify(contents)).toString('base64url');
  if (text.length > MAX_SEALED_BYTES) return undefined;
  return `${text}.${proofOf(secret, text).toString('hex')}`;
}

/** Opens a header's value; undefined unless a replica sealed it for this one just now. */
export function openAnnounce(
  sealed: string,
  name: string,
  secret: Uint8Array,
  nowSeconds: number,
): (RawAnnounce & { readonly host: Buffer }) | undefined {
  const [, text, proof] = /^([-_A-Za-z0-9]+)\.([0-9a-f]{64})$/.exec(sealed) ?? [];
  if (text === undefined || proof === undefined) return undefined;
  if (!timingSafeEqual(Buffer.from(proof, 'hex'), proofOf(secret, text))) return undefined;
  // Who has the secret writes what we write.
  const { to, atSeconds, host, query, key, token } = JSON.parse(
    Buffer.from(text, 'base64url').toString(),
  ) as Contents;
  if (to !== name || Math.abs(nowSeconds - atSeconds) > MAX_AGE_SECONDS) return undefined;
  if (!IPV4_OR_IPV6.test(host)) return undefined;
  return {
    query,
    host: Buffer.from(host, 'hex'),
    credentials: token === undefined ? { key } : { key, token },
    isForwarded: true,
  };
}
