// Blocks that one peer was asked for. Invariant: they stand in the order in which they were asked for, each with when that
// was. Hot: typed storage that grows by doubling; nothing allocates per request.

const FIRST_OUTSTANDING = 16;

/** Blocks that we asked for, in the order asked, with when that was and how much had come until then. */
export class OutstandingBlocks {
  #blocks = new Int32Array(FIRST_OUTSTANDING);
  #askedAt = new Float64Array(FIRST_OUTSTANDING);
  #bytesThen = new Float64Array(FIRST_OUTSTANDING);
  #size = 0;
  /** Of the block that was removed last. */
  removedAskedAt = 0;
  removedBytesThen = 0;

  get size(): number {
    return this.#size;
  }

  at(index: number): number {
    return this.#blocks[index] as number;
  }

  has(block: number): boolean {
    for (let i = 0; i < this.#size; i++) if (this.#blocks[i] === block) return true;
    return false;
  }

  /**
   * @param now in milliseconds
   * @param bytes that the peer has sent until now
   */
  push(block: number, now: number, bytes: number): void {
    if (this.#size === this.#blocks.length) this.#grow();
    this.#blocks[this.#size] = block;
    this.#askedAt[this.#size] = now;
    this.#bytesThen[this.#size] = bytes;
    this.#size++;
  }

  /** False if it is not there. Peers answer mostly in order, so it is mostly the first. */
  remove(block: number): boolean {
    for (let i = 0; i < this.#size; i++) {
      if (this.#blocks[i] !== block) continue;
      this.removedAskedAt = this.#askedAt[i] as number;
      this.removedBytesThen = this.#bytesThen[i] as number;
      this.#blocks.copyWithin(i, i + 1, this.#size);
      this.#askedAt.copyWithin(i, i + 1, this.#size);
      this.#bytesThen.copyWithin(i, i + 1, this.#size);
      this.#size--;
      return true;
    }
    return false;
  }

  clear(): void {
    this.#size = 0;
  }

  #grow(): void {
    const [blocks, askedAt, bytesThen] = [this.#blocks, this.#askedAt, this.#bytesThen];
    this.#blocks = new Int32Array(2 * this.#size);
    this.#askedAt = new Float64Array(2 * this.#size);
    this.#bytesThen = new Float64Array(2 * this.#size);
    this.#blocks.set(blocks);
    this.#askedAt.set(askedAt);
    this.#bytesThen.set(bytesThen);
  }
}
