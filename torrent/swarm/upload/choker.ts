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
export interface Refuser<P> {
  refuseAll(peer: P): void;
}

/** The choker of a torrent. */
export class Choker<P extends ChokePeer> {
  readonly #context: SwarmContext<P>;
  readonly #refuser: Refuser<P>;
  #roundAt: number;
  #rounds = 0;

  constructor(context: SwarmContext<P>, refuser: Refuser<P>) {
    this.#context = context;
    this.#refuser = refuser;
    this.#roundAt = context.clock.monotonic() + CHOKER_ROUND_MILLISECONDS;
  }

  /** Ranks anew every 10 s. */
  tick(now: number): void {
    if (now < this.#roundAt) return;
    this.#roundAt = now + CHOKER_ROUND_MILLISECONDS;
    this.#rank(now);
    for (const peer of this.#context.peers) {
      peer.choke.endRound(peer.download.downloadedBytes, peer.upload.uploadedBytes);
    }
  }

  /** Something changed (a peer came, is interested, or went): unchokes where no round has to decide. */
  admit(peer: P, now: number): void {
    if (this.#context.paused || !peer.connected || !peer.choke.amChoking) return;
    if (peer.policy.unchokesAlways) {
      this.#unchoke(peer);
      return;
    }
    if (!peer.peerInterested || this.#used() >= REGULAR_SLOTS + this.#optimisticSlots(now)) return;
    // A free slot need not wait for the round.
    peer.choke.setOptimistic(false);
    this.#unchoke(peer);
  }

  /** A slot has become free. */
  admitAny(now: number): void {
    for (const peer of this.#context.peers) this.admit(peer, now);
  }

  /** Chokes everybody. */
  chokeAll(): void {
    for (const peer of this.#context.peers) this.#choke(peer);
  }

  #used(): number {
    let used = 0;
    for (const peer of this.#context.peers) {
      if (!peer.choke.amChoking && peer.peerInterested && !this.#isExempt(peer)) used++;
    }
    return used;
  }

  #isExempt(peer: P): boolean {
    return peer.policy.unchokesAlways;
  }

  /** Snubbed by everybody who let us ask, we try more peers. */
  #optimisticSlots(now: number): number {
    let unchoking = 0;
    for (const peer of this.#context.peers) {
      if (peer.peerChoking || !peer.amInterested) continue;
      if (!hasSnubbed(peer, now)) return OPTIMISTIC_SLOTS;
      unchoking++;
    }
    return unchoking > 0 ? OPTIMISTIC_SLOTS + 1 : OPTIMISTIC_SLOTS;
  }

  #rank(now: number): void {
    const { peers, paused, picker, random } = this.#context;
    if (paused) return;
    const isSeed = picker.have.isFull;
    const ranked = peers.filter((peer) => peer.peerInterested && !this.#isExempt(peer));
    // A leecher ranks by what it got, a seed by what it can send.
    const worth = (peer: P) =>
      isSeed
        ? peer.choke.sentLately(peer.upload.uploadedBytes)
        : hasSnubbed(peer, now)
          ? -1
          : peer.choke.receivedLately(peer.download.downloadedBytes);
    ranked.sort((a, b) => worth(b) - worth(a));
    const regular = new Set(ranked.filter((peer) => worth(peer) >= 0).slice(0, REGULAR_SLOTS));

    const rotates = this.#rounds++ % OPTIMISTIC_ROUNDS === 0;
    const candidates = ranked.filter((peer) => !regular.has(peer));
    const kept = rotates ? [] : candidates.filter((peer) => peer.choke.isOptimistic);
    const optimistic = new Set(kept);
    const slots = this.#optimisticSlots(now) + (REGULAR_SLOTS - regular.size);
    const drawn = candidates.filter((peer) => !optimistic.has(peer));
    while (optimistic.size < slots && drawn.length > 0) {
      const [chosen] = drawn.splice(Math.trunc(random() * drawn.length), 1);
      if (chosen !== undefined) optimistic.add(chosen);
    }
    for (const peer of peers) {
      if (this.#isExempt(peer)) continue;
      peer.choke.setOptimistic(optimistic.has(peer));
      if (!regular.has(peer) && !peer.choke.isOptimistic) this.#choke(peer);
    }
    for (const peer of ranked) {
      if (peer.choke.amChoking && (regular.has(peer) || peer.choke.isOptimistic)) this.#unchoke(peer);
    }
  }

  #unchoke(peer: P): void {
    peer.choke.unchoke();
    peer.link.unchoke();
  }

  #choke(peer: P): void {
    if (peer.choke.amChoking) return;
    peer.choke.choke();
    peer.link.choke();
    this.#refuser.refuseAll(peer);
  }
}
