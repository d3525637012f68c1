// Whom connected peers are told of, and which of the addresses they tell are worth a dial (BEP 11). Invariants: a
// peer is told each change once, at most once an interval; it is believed at most MAX_EXCHANGED addresses in the
// least time between its messages; no address is dialled that the teller's network cannot mean.
import ipaddr from 'ipaddr.js';
import { type ExchangedPeer, MAX_EXCHANGED, type PeerExchange } from '../wire/peer-exchange.ts';

/** BEP 11: a peer is told at most once a minute. */
export const EXCHANGE_MILLISECONDS = 60_000;

/**
 * Between own agents: without trackers this is how a swarm knows its members, and a node that comes has 5 s and not
 * a minute to be known; 50 addresses in this time are 300 bytes, nothing beside one block.
 */
export const OWN_EXCHANGE_MILLISECONDS = 5000;

/** Messages that come sooner than this share of the interval after the last one are not looked at. */
const EARLY_SHARE = 0.75;

function keyOf({ host, port }: { host: string; port: number }): string {
  return `${host}|${port}`;
}

function rangeOf(host: string): string {
  return ipaddr.isValid(host) ? ipaddr.process(host).range() : 'name';
}

/** Addresses that mean something outside the machine or network they are of. */
const EVERYWHERE = 'unicast';

const NOBODY: readonly string[] = ['unspecified', 'broadcast', 'multicast', 'name'];

/** True if an address means the same to us as to a peer at `from`, so that it may be told and dialled. */
export function isWorthADial(told: { host: string; port: number }, from: string): boolean {
  if (told.port < 1 || told.port > 65535) return false;
  const range = rangeOf(told.host);
  if (NOBODY.includes(range)) return false;
  // Loopback, link-local and private addresses of a peer elsewhere are those of our own network.
  const near = rangeOf(from);
  if (range === 'loopback' || range === 'linkLocal') return near === range;
  return range === EVERYWHERE || near !== EVERYWHERE;
}

/** What one connected peer was told, and when it told us. */
export class ExchangePartner {
  readonly #intervalMilliseconds: number;
  #told = new Map<string, ExchangedPeer>();
  #tellsAt = Number.NEGATIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(intervalMilliseconds: number) {
    this.#intervalMilliseconds = intervalMilliseconds;
  }

  /** What the peer at `host` is to be told now; undefined if it is not time, or nothing changed. */
  news(present: readonly ExchangedPeer[], host: string, now: number): PeerExchange | undefined {
    if (now - this.#tellsAt < this.#intervalMilliseconds) return undefined;
    const meaningful = present.filter((peer) => isWorthADial(peer, host));
    const current = new Map(meaningful.map((peer) => [keyOf(peer), peer]));
    const added: ExchangedPeer[] = [];
    for (const [key, peer] of current) {
      if (added.length < MAX_EXCHANGED && !this.#told.has(key)) added.push(peer);
    }
    const dropped: ExchangedPeer[] = [];
    for (const [key, peer] of this.#told) {
      if (dropped.length < MAX_EXCHANGED && !current.has(key)) dropped.push(peer);
    }
    if (added.length === 0 && dropped.length === 0) return undefined;
    for (const peer of added) this.#told.set(keyOf(peer), peer);
    for (const peer of dropped) this.#told.delete(keyOf(peer));
    this.#tellsAt = now;
    return { added, dropped };
  }

  /** Of what the peer told, the addresses to dial; none if it tells too often. */
  believed(exchange: PeerExchange, from: string, now: number): ExchangedPeer[] {
    if (now - this.#heardAt < this.#intervalMilliseconds * EARLY_SHARE) return [];
    this.#heardAt = now;
    return exchange.added.slice(0, MAX_EXCHANGED).filter((told) => isWorthADial(told, from));
  }
}
