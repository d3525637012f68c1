// Tit for tat (BEP 3): who may ask us. Invariant: of the peers that the policy does not unchoke anyway, those are
// unchoked that gave most lately, and one or more at random, so that newcomers get a first piece to give.
import type { SwarmContext } from './context.ts';
import type { Neighbour } from './neighbour.ts';
import {
  CHOKER_ROUND_MILLISECONDS,
  OPTIMISTIC_ROUNDS,
  OPTIMISTIC_SLOTS,
  REGULAR_SLOTS,
  SNUB_MILLISECONDS,
} from './tunables.ts';
import type { Uplink } from './uplink.ts';

function sum(rounds: readonly number[]): number {
  let total = 0;
  for (const bytes of rounds) total += bytes;
  return total;
}

/** True if a peer lets us ask, owes us blocks and has given nothing for long. */
export function hasSnubbed(neighbour: Neighbour, now: number): boolean {
  return !neighbour.peerChoking && neighbour.stalled && now - neighbour.gaveAt > SNUB_MILLISECONDS;
}

/** The choker of a torrent. */
export class Choker {
  readonly #context: SwarmContext;
  readonly #uplink: Uplink;
  #roundAt: number;
  #rounds = 0;

  constructor(context: SwarmContext, uplink: Uplink) {
    this.#context = context;
    this.#uplink = uplink;
    this.#roundAt = context.clock.monotonic() + CHOKER_ROUND_MILLISECONDS;
  }

  /** Ranks anew every 10 s. */
  tick(now: number): void {
    if (now < this.#roundAt) return;
    this.#roundAt = now + CHOKER_ROUND_MILLISECONDS;
    this.#rank(now);
    for (const neighbour of this.#context.neighbours) {
      neighbour.receivedInRounds.unshift(0);
      neighbour.receivedInRounds.pop();
      neighbour.sentInRounds.unshift(0);
      neighbour.sentInRounds.pop();
    }
  }

  /** Something changed (a peer came, is interested, or went): unchokes where no round has to decide. */
  admit(neighbour: Neighbour, now: number): void {
    if (this.#context.paused || !neighbour.connected || !neighbour.amChoking) return;
    if (neighbour.policy.unchokesAlways) {
      this.#unchoke(neighbour);
      return;
    }
    if (!neighbour.peerInterested || this.#used() >= REGULAR_SLOTS + this.#optimisticSlots(now)) return;
    // A free slot need not wait for the round.
    neighbour.optimistic = false;
    this.#unchoke(neighbour);
  }

  /** A slot has become free. */
  admitAny(now: number): void {
    for (const neighbour of this.#context.neighbours) this.admit(neighbour, now);
  }

  /** Chokes everybody. */
  chokeAll(): void {
    for (const neighbour of this.#context.neighbours) this.#choke(neighbour);
  }

  #used(): number {
    let used = 0;
    for (const neighbour of this.#context.neighbours) {
      if (!neighbour.amChoking && neighbour.peerInterested && !this.#isExempt(neighbour)) used++;
    }
    return used;
  }

  #isExempt(neighbour: Neighbour): boolean {
    return neighbour.policy.unchokesAlways;
  }

  /** Snubbed by everybody who let us ask, we try more peers. */
  #optimisticSlots(now: number): number {
    let unchoking = 0;
    for (const neighbour of this.#context.neighbours) {
      if (neighbour.peerChoking || !neighbour.amInterested) continue;
      if (!hasSnubbed(neighbour, now)) return OPTIMISTIC_SLOTS;
      unchoking++;
    }
    return unchoking > 0 ? OPTIMISTIC_SLOTS + 1 : OPTIMISTIC_SLOTS;
  }

  #rank(now: number): void {
    const { neighbours, paused, picker, random } = this.#context;
    if (paused) return;
    const isSeed = picker.have.isFull;
    const ranked = neighbours.filter((neighbour) => neighbour.peerInterested && !this.#isExempt(neighbour));
    // A leecher ranks by what it got, a seed by what it can send.
    const worth = (neighbour: Neighbour) =>
      isSeed
        ? sum(neighbour.sentInRounds)
        : hasSnubbed(neighbour, now)
          ? -1
          : sum(neighbour.receivedInRounds);
    ranked.sort((a, b) => worth(b) - worth(a));
    const regular = new Set(ranked.filter((neighbour) => worth(neighbour) >= 0).slice(0, REGULAR_SLOTS));

    const rotates = this.#rounds++ % OPTIMISTIC_ROUNDS === 0;
    const candidates = ranked.filter((neighbour) => !regular.has(neighbour));
    const kept = rotates ? [] : candidates.filter((neighbour) => neighbour.optimistic);
    const optimistic = new Set(kept);
    const slots = this.#optimisticSlots(now) + (REGULAR_SLOTS - regular.size);
    const drawn = candidates.filter((neighbour) => !optimistic.has(neighbour));
    while (optimistic.size < slots && drawn.length > 0) {
      const [chosen] = drawn.splice(Math.trunc(random() * drawn.length), 1);
      if (chosen !== undefined) optimistic.add(chosen);
    }
    for (const neighbour of neighbours) {
      if (this.#isExempt(neighbour)) continue;
      neighbour.optimistic = optimistic.has(neighbour);
      if (!regular.has(neighbour) && !neighbour.optimistic) this.#choke(neighbour);
    }
    for (const neighbour of ranked) {
      if (neighbour.amChoking && (regular.has(neighbour) || neighbour.optimistic)) this.#unchoke(neighbour);
    }
  }

  #unchoke(neighbour: Neighbour): void {
    neighbour.amChoking = false;
    neighbour.link.unchoke();
  }

  #choke(neighbour: Neighbour): void {
    if (neighbour.amChoking) return;
    neighbour.amChoking = true;
    neighbour.link.choke();
    this.#uplink.refuseAll(neighbour);
  }
}
