// Who gave us bytes that failed their hash. Invariant: only proof bans: a piece that one sender gave alone, or a
// block that differs from the one of the piece that verified later. Memory is bounded.
import { MAX_REMEMBERED_FAILURES } from '../tunables.ts';

interface Failure {
  /** Identity of the sender, by block. */
  senders: readonly number[];
  /** Digest of what was sent, by block. */
  digests: readonly string[];
}

/** The failures of one torrent. Identities are numbers that the caller gives meaning to. */
export class SmartBan {
  /** Latest failure of each piece that is not held yet, oldest first. */
  readonly #failures = new Map<number, Failure>();

  /** True if the digests of the piece are wanted when it verifies. */
  isOpen(piece: number): boolean {
    return this.#failures.has(piece);
  }

  /** A piece failed. Returns who is proven guilty by that. */
  failed(piece: number, senders: readonly number[], digests: readonly string[]): number[] {
    const distinct = new Set(senders);
    if (distinct.size === 1) return [...distinct];
    this.#failures.delete(piece);
    this.#failures.set(piece, { senders, digests });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MAX_REMEMBERED_FAILURES) break;
      this.#failures.delete(oldest);
    }
    return [];
  }

  /** A piece verified. Returns whose blocks of its last failure were wrong. */
  verified(piece: number, digests: readonly string[]): number[] {
    const failure = this.#failures.get(piece);
    if (failure === undefined) return [];
    this.#failures.delete(piece);
    const guilty = new Set<number>();
    for (const [place, digest] of digests.entries()) {
      const sender = failure.senders[place];
      if (sender !== undefined && failure.digests[place] !== digest) guilty.add(sender);
    }
    return [...guilty];
  }
}
