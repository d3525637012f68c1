// Canonical peer priority (BEP 40): a number that two peers compute alike for each other and nobody can choose, so
// that full peer sets form no cliques that shut late ones out. Invariant: symmetric, and no I/O.
import ipaddr from 'ipaddr.js';

/** One end of a connection. */
export interface PriorityAddress {
  /** An IPv4 or IPv6 address. */
  readonly host: string;
  readonly port: number;
}

const CASTAGNOLI = 0x82f63b78;

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C, which Node has not. */
function crc32c(bytes: readonly number[]): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, byte] of a.entries()) if (byte !== b[i]) return byte - (b[i] as number);
  return 0;
}

/** Bytes that count in full; of the ones behind, every other bit. */
function countedBytes(a: readonly number[], b: readonly number[]): number {
  // IPv4: two bytes, one more for each byte in common from the second on; IPv6: six, likewise from the sixth on.
  const least = a.length === 4 ? 2 : 6;
  let common = 0;
  while (common < a.length && a[common] === b[common]) common++;
  return common < least ? least : common + 1;
}

/**
 * The priority that two peers have for each other, 0 to 2^32 - 1; undefined where one has no address or the
 * families differ.
 */
export function peerPriority(one: PriorityAddress, other: PriorityAddress): number | undefined {
  if (!ipaddr.isValid(one.host) || !ipaddr.isValid(other.host)) return undefined;
  const a = ipaddr.process(one.host).toByteArray();
  const b = ipaddr.process(other.host).toByteArray();
  if (a.length !== b.length) return undefined;
  if (compare(a, b) === 0) {
    const [low, high] = [Math.min(one.port, other.port), Math.max(one.port, other.port)];
    return crc32c([low >>> 8, low & 0xff, high >>> 8, high & 0xff]);
  }
  const counted = countedBytes(a, b);
  const mask = (bytes: number[]) => bytes.map((byte, i) => (i < counted ? byte : byte & 0x55));
  const [first, second] = [mask(a), mask(b)];
  return crc32c(compare(first, second) <= 0 ? [...first, ...second] : [...second, ...first]);
}

/** Peers whose word on our address counts, each once. */
const MAX_VOTERS = 64;

/** Where others see us, by what they say (BEP 10 `yourip`). Invariant: one voice a host, the latest ones. */
export class OwnAddress {
  readonly #votes = new Map<string, string>();

  /** A host says that it sees us at an address. */
  said(voter: string, host: string): void {
    this.#votes.delete(voter);
    this.#votes.set(voter, host);
    if (this.#votes.size <= MAX_VOTERS) return;
    for (const oldest of this.#votes.keys()) {
      this.#votes.delete(oldest);
      break;
    }
  }

  /** What most say; undefined if nobody said anything. */
  get host(): string | undefined {
    const counts = new Map<string, number>();
    let best: string | undefined;
    for (const host of this.#votes.values()) {
      const count = (counts.get(host) ?? 0) + 1;
      counts.set(host, count);
      if (best === undefined || count > (counts.get(best) ?? 0)) best = host;
    }
    return best;
  }
}
