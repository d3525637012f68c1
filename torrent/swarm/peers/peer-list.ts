// Addresses where peers may be, and when each may be dialled. Invariants: at most one entry an address, and at
// most MAX_KNOWN_ADDRESSES; an address that failed waits longer each time, but is never given up while there is
// room, so that a swarm that was cut off finds itself again without a tracker.

import { FIRST_REDIAL_MILLISECONDS, MAX_KNOWN_ADDRESSES } from '../tunables.ts';
import { BannedHosts } from './banned-hosts.ts';
import { peerPriority } from './peer-priority.ts';

/** Where to dial. */
export interface DialAddress {
  readonly host: string;
  readonly port: number;
}

interface Entry extends DialAddress {
  state: 'free' | 'dialling' | 'connected';
  failures: number;
  notBefore: number;
  /** It had every piece when we last met. */
  isSeed: boolean;
  /** BEP 40; 0 while nobody knows. */
  priority: number;
}

function keyOf(address: DialAddress): string {
  return `${address.host}|${address.port}`;
}

function comesBefore(one: Entry, other: Entry): boolean {
  if (one.failures !== other.failures) return one.failures < other.failures;
  return one.priority > other.priority;
}

/** The known addresses of one swarm. */
export class PeerList {
  readonly #entries = new Map<string, Entry>();
  readonly #banned = new BannedHosts();
  readonly #longestRedialMilliseconds: number;
  readonly #random: () => number;
  #own: DialAddress | undefined;

  constructor(longestRedialMilliseconds: number, random: () => number) {
    this.#longestRedialMilliseconds = longestRedialMilliseconds;
    this.#random = random;
  }

  /** Where others see us: of addresses that failed as often, the one of the highest priority (BEP 40) is dialled. */
  set ownAddress(own: DialAddress | undefined) {
    if (own?.host === this.#own?.host && own?.port === this.#own?.port) return;
    this.#own = own;
    for (const entry of this.#entries.values()) entry.priority = this.#priorityOf(entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Takes hints; what is no address that can be dialled is left out. */
  add(addresses: readonly DialAddress[]): void {
    for (const { host, port } of addresses) {
      if (!Number.isInteger(port) || port < 1 || port > 65535 || host === '' || host.length > 253) continue;
      const key = keyOf({ host, port });
      const known = this.#entries.get(key);
      if (known !== undefined) continue;
      if (this.#entries.size >= MAX_KNOWN_ADDRESSES && !this.#evict()) return;
      this.#entries.set(key, {
        host,
        port,
        state: 'free',
        failures: 0,
        notBefore: 0,
        isSeed: false,
        priority: this.#priorityOf({ host, port }),
      });
    }
  }

  /** An address to dial now, which counts as being dialled from here on; undefined if there is none. */
  next(now: number, skipSeeds: boolean): DialAddress | undefined {
    let chosen: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'free' || entry.notBefore > now || (skipSeeds && entry.isSeed)) continue;
      // Who is there is known once it has answered.
      if (this.#banned.has(entry.host, true)) continue;
      if (chosen === undefined || comesBefore(entry, chosen)) chosen = entry;
      if (chosen.failures === 0 && this.#own === undefined) break;
    }
    if (chosen !== undefined) chosen.state = 'dialling';
    return chosen;
  }

  /** The connection to the address stands, whoever dialled. */
  connected(address: DialAddress): void {
    this.add([address]);
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.state = 'connected';
    entry.failures = 0;
  }

  /** Dialling failed, or the peer turned us away. */
  failed(address: DialAddress, now: number): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.state = 'free';
    entry.failures++;
    const wait = FIRST_REDIAL_MILLISECONDS * 2 ** Math.min(entry.failures - 1, 20);
    entry.notBefore = now + Math.min(wait, this.#longestRedialMilliseconds) * (0.5 + this.#random());
  }

  /** A connection that stood has ended. */
  disconnected(address: DialAddress, now: number, isSeed: boolean): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.state = 'free';
    entry.isSeed = isSeed;
    entry.notBefore = now + FIRST_REDIAL_MILLISECONDS * (0.5 + this.#random());
  }

  /** The address turned out to be ourselves: never again. */
  forget(address: DialAddress): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.state = 'connected';
  }

  ban(host: string): void {
    this.#banned.add(host);
  }

  /** @param isOwnKind it is, or may be, a client of our own kind */
  isBanned(host: string, isOwnKind: boolean): boolean {
    return this.#banned.has(host, isOwnKind);
  }

  #priorityOf(address: DialAddress): number {
    return this.#own === undefined ? 0 : (peerPriority(this.#own, address) ?? 0);
  }

  /** Makes room by forgetting the address that failed most. */
  #evict(): boolean {
    let worst: [string, Entry] | undefined;
    for (const item of this.#entries) {
      if (item[1].state !== 'free' || item[1].failures === 0) continue;
      if (worst === undefined || item[1].failures > worst[1].failures) worst = item;
    }
    if (worst === undefined) return false;
    this.#entries.delete(worst[0]);
    return true;
  }
}
