// Whether one peer may ask us. Invariant: the choker alone holds it as PeerChoke and changes it; everybody else sees
// ChokeState, which has nothing that changes.

/** What everybody may know of how a peer is choked. */
export interface ChokeState {
  readonly amChoking: boolean;
  /** It has an optimistic slot. */
  readonly isOptimistic: boolean;
}

/** The choke of one peer, and what was exchanged with it in this choker round and the two before. */
export class PeerChoke implements ChokeState {
  #amChoking = true;
  #isOptimistic = false;
  /** Bytes that had been received and sent when each of these rounds began, the oldest first. */
  readonly #receivedBefore = [0, 0, 0];
  readonly #sentBefore = [0, 0, 0];

  get amChoking(): boolean {
    return this.#amChoking;
  }

  get isOptimistic(): boolean {
    return this.#isOptimistic;
  }

  choke(): void {
    this.#amChoking = true;
  }

  unchoke(): void {
    this.#amChoking = false;
  }

  setOptimistic(isOptimistic: boolean): void {
    this.#isOptimistic = isOptimistic;
  }

  /** Of all that was received, what came in these rounds. */
  receivedLately(receivedBytes: number): number {
    return receivedBytes - (this.#receivedBefore[0] as number);
  }

  /** Of all that was sent, what left in these rounds. */
  sentLately(sentBytes: number): number {
    return sentBytes - (this.#sentBefore[0] as number);
  }

  /** A round ends; so much was received and sent until now. */
  endRound(receivedBytes: number, sentBytes: number): void {
    this.#receivedBefore.shift();
    this.#receivedBefore.push(receivedBytes);
    this.#sentBefore.shift();
    this.#sentBefore.push(sentBytes);
  }
}
