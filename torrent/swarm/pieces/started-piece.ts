// The blocks of one piece on its way. Invariant: `free` counts the blocks that are neither here nor asked for,
// `missing` those that are not here; every block is in one state.

const HERE = 255;

/** A piece of which some blocks were asked for or are here. Reused for one piece after another. */
export class StartedPiece {
  /** Per block: 0 = free, 1 or 2 = copies asked for, HERE. */
  readonly #states: Uint8Array;
  /** Per block that is here: the number of the peer that sent it. */
  readonly #senders: Int32Array;
  #firstFree = 0;

  piece = -1;
  blocks = 0;
  free = 0;
  missing = 0;
  /** The peer that started it. */
  starter = -1;
  /** True if only the starter may be asked: a piece that failed its hash with several senders. */
  exclusive = false;

  constructor(blocksPerPiece: number) {
    this.#states = new Uint8Array(blocksPerPiece);
    this.#senders = new Int32Array(blocksPerPiece);
  }

  /** Takes up a piece with all blocks free. */
  begin(piece: number, blocks: number, starter: number, exclusive: boolean): void {
    this.piece = piece;
    this.blocks = blocks;
    this.free = blocks;
    this.missing = blocks;
    this.starter = starter;
    this.exclusive = exclusive;
    this.#firstFree = 0;
    this.#states.fill(0);
  }

  isFree(place: number): boolean {
    return this.#states[place] === 0;
  }

  isHere(place: number): boolean {
    return this.#states[place] === HERE;
  }

  /** Copies that are asked for. */
  copies(place: number): number {
    const state = this.#states[place] as number;
    return state === HERE ? 0 : state;
  }

  /** The first free block, which is asked for now. There must be one. */
  take(): number {
    let place = this.#firstFree;
    while (this.#states[place] !== 0) place++;
    this.#states[place] = 1;
    this.#firstFree = place + 1;
    this.free--;
    return place;
  }

  /** One copy more is asked for (endgame). */
  addCopy(place: number): void {
    this.#states[place] = (this.#states[place] as number) + 1;
  }

  /** One copy less is asked for. True if the block is free now. */
  release(place: number): boolean {
    const state = this.#states[place] as number;
    if (state === HERE || state === 0) return false;
    this.#states[place] = state - 1;
    if (state > 1) return false;
    this.free++;
    if (place < this.#firstFree) this.#firstFree = place;
    return true;
  }

  /** The block is here. False if it was before. */
  receive(place: number, sender: number): boolean {
    const state = this.#states[place] as number;
    if (state === HERE) return false;
    if (state === 0) this.free--;
    this.#states[place] = HERE;
    this.#senders[place] = sender;
    this.missing--;
    return true;
  }

  /** The senders of all blocks; meaningful once nothing is missing. */
  sendersOf(): number[] {
    return Array.from(this.#senders.subarray(0, this.blocks));
  }
}
