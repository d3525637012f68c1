// Tit for tat (BEP 3): who may ask us. Invariant: of the peers that the policy does not unchoke anyway, those are
// unchoked that gave most lately, and one or more at random, so that newcomers get a first piece to give.
import type { SwarmContext } from '../context.ts';
import type { ChokePeer, PeerState } from '../peers/peer.ts';
import {
  CHOKER_ROUND_MILLISECONDS,
  OPTIMISTIC_ROUNDS,
  OPTIMISTIC_SLOTS,
  REGULAR_SLOTS,
  SNUB_MILLISECONDS,
} from '../tunables.ts';

/** True if a peer lets us ask, owes us blocks and has given nothing for long. */
export function hasSnubbed({ download, peerChoking }: PeerState, now: number): boolean {
  return !peerChoking && download.isSnubbed && now - download.gaveAt > SNUB_MILLISECONDS;
}

/** Who forgets what a choked peer waits for. */
export interface Refuser<Peer> {
  refuseAll(peer: Peer): void;
}

/** The choker of a torrent. */
export class Choker<Peer extends ChokePeer> {
  readonly #context: SwarmContext<Peer>;
  readonly #refuser: Refuser<Peer>;
  #roundAt: number;
  #rounds = 0;

  constructor(context: SwarmContext<Peer>, refuser: Refuser<Peer>) {
    this.#context = context;
    this.#refuser = refuser;
    this.#roundAt = context.clock.monotonic() + CHOKER_ROUND_MILLISECONDS;
  }

  /** Ranks anew every 10 s. */
  tick(now: number): void {
    if (now < this.#roundAt) return;
    this.#roundAt = now + CHOKER_ROUND_MILLISECONDS;
    this.#rank(now);
    for (const neighbour of this.#context.neighbours) {
      neighbour.choke.endRound(neighbour.download.downloadedBytes, neighbour.upload.uploadedBytes);
    }
  }

  /** Something changed (a peer came, is interested, or went): unchokes where no round has to decide. */
  admit(neighbour: Peer, now: number): void {
    if (this.#context.paused || !neighbour.connected || !neighbour.choke.amChoking) return;
    if (neighbour.policy.unchokesAlways) {
      this.#unchoke(neighbour);
      return;
    }
    if (!neighbour.peerInterested || this.#used() >= REGULAR_SLOTS + this.#optimisticSlots(now)) return;
    // A free slot need not wait for the round.
    neighbour.choke.setOptimistic(false);
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
      if (!neighbour.choke.amChoking && neighbour.peerInterested && !this.#isExempt(neighbour)) used++;
    }
    return used;
  }

  #isExempt(neighbour: Peer): boolean {
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
    const worth = (neighbour: Peer) =>
      isSeed
        ? neighbour.choke.sentLately(neighbour.upload.uploadedBytes)
        : hasSnubbed(neighbour, now)
          ? -1
          : neighbour.choke.receivedLately(neighbour.download.downloadedBytes);
    ranked.sort((a, b) => worth(b) - worth(a));
    const regular = new Set(ranked.filter((neighbour) => worth(neighbour) >= 0).slice(0, REGULAR_SLOTS));

    const rotates = this.#rounds++ % OPTIMISTIC_ROUNDS === 0;
    const candidates = ranked.filter((neighbour) => !regular.has(neighbour));
    const kept = rotates ? [] : candidates.filter((neighbour) => neighbour.choke.isOptimistic);
    const optimistic = new Set(kept);
    const slots = this.#optimisticSlots(now) + (REGULAR_SLOTS - regular.size);
    const drawn = candidates.filter((neighbour) => !optimistic.has(neighbour));
    while (optimistic.size < slots && drawn.length > 0) {
      const [chosen] = drawn.splice(Math.trunc(random() * drawn.length), 1);
      if (chosen !== undefined) optimistic.add(chosen);
    }
    for (const neighbour of neighbours) {
      if (this.#isExempt(neighbour)) continue;
      neighbour.choke.setOptimistic(optimistic.has(neighbour));
      if (!regular.has(neighbour) && !neighbour.choke.isOptimistic) this.#choke(neighbour);
    }
    for (const neighbour of ranked) {
      if (neighbour.choke.amChoking && (regular.has(neighbour) || neighbour.choke.isOptimistic))
        this.#unchoke(neighbour);
    }
  }

  #unchoke(neighbour: Peer): void {
    neighbour.choke.unchoke();
    neighbour.link.unchoke();
  }

  #choke(neighbour: Peer): void {
    if (neighbour.choke.amChoking) return;
    neighbour.choke.choke();
    neighbour.link.choke();
    this.#refuser.refuseAll(neighbour);
  }
}
