// What a process may keep in memory of what is on its way, divided between the purposes. Invariant: nobody is given more
// than its share of a purpose while others use it too, and all purposes together stay within the budget.
const MEBIBYTE = 1024 * 1024;

/** The budget where nobody sets one. */
export const DEFAULT_MEMORY_BYTES = 256 * MEBIBYTE;

/** The least budget: below it hardly anything could be on its way. */
export const MIN_MEMORY_BYTES = 64 * MEBIBYTE;

/** What each purpose has of the budget. */
const SHARES = { pieces: 8 / 16, reads: 3 / 16, staging: 2 / 16, unsent: 2 / 16, metadata: 1 / 16 } as const;

/** What memory is for: see the fields of MemoryLedger. */
export const MEMORY_PURPOSES = Object.keys(SHARES) as readonly (keyof typeof SHARES)[];

/** The memory for one purpose, for those who share it. */
export class MemoryShare {
  limitBytes: number;
  #usedBytes = 0;
  #users = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes that are in use. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** An account for one who shares it. */
  open(): MemoryAccount {
    return new MemoryAccount(this);
  }

  /** What one account may have, while all that have something divide the whole fairly. */
  fairBytes(account: MemoryAccount): number {
    const users = account.usedBytes > 0 ? this.#users : this.#users + 1;
    return this.limitBytes / users;
  }

  /** For accounts alone: an account has so many bytes, and had so many before. */
  changed(bytes: number, before: number): void {
    this.#usedBytes += bytes - before;
    if (before === 0 && bytes > 0) this.#users++;
    if (before > 0 && bytes === 0) this.#users--;
  }
}

/** What one torrent has of a share. */
export class MemoryAccount {
  readonly #share: MemoryShare;
  #usedBytes = 0;

  constructor(share: MemoryShare) {
    this.#share = share;
  }

  /** Bytes that it has. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes that it may have, in all, while others have what they have. */
  get fairBytes(): number {
    return this.#share.fairBytes(this);
  }

  /** True if it may have so many bytes more. Whoever has nothing may begin while there is any room. */
  hasRoomFor(bytes: number): boolean {
    if (this.#share.usedBytes + bytes > this.#share.limitBytes) return false;
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.fairBytes;
  }

  /** Takes so many bytes more, if it may. */
  take(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    this.charge(bytes);
    return true;
  }

  /** Takes so many bytes more, whatever it may: for what is there already. */
  charge(bytes: number): void {
    const before = this.#usedBytes;
    this.#usedBytes += bytes;
    this.#share.changed(this.#usedBytes, before);
  }

  /** Gives so many bytes back. */
  giveBack(bytes: number): void {
    this.charge(-bytes);
  }

  /** Gives everything back. */
  clear(): void {
    this.charge(-this.#usedBytes);
  }
}

/** The ledger of one process. */
export class MemoryLedger {
  /** Pieces that are started, unverified or unwritten, and buffers that wait for the next ones; by torrent. */
  readonly pieces = new MemoryShare(0);
  /** Runs of pieces that are kept on disk until all of them is here, and what is asked for of such; by torrent. */
  readonly staging = new MemoryShare(0);
  /** What was read from disk: kept for the next readers, and lent to connections. */
  readonly reads = new MemoryShare(0);
  /** What all peers together leave unread. */
  readonly unsent = new MemoryShare(0);
  /** Metadata on its way; by info hash. */
  readonly metadata = new MemoryShare(0);
  #budgetBytes = 0;

  /** @param budgetBytes at least MIN_MEMORY_BYTES */
  constructor(budgetBytes: number = DEFAULT_MEMORY_BYTES) {
    this.setBudget(budgetBytes);
  }

  get budgetBytes(): number {
    return this.#budgetBytes;
  }

  /** Replaces the budget; what is in use stays in use. Less than MIN_MEMORY_BYTES counts as that. */
  setBudget(bytes: number): void {
    this.#budgetBytes = Math.max(MIN_MEMORY_BYTES, bytes);
    for (const purpose of MEMORY_PURPOSES)
      this[purpose].limitBytes = Math.trunc(this.#budgetBytes * SHARES[purpose]);
  }
}

/** What a process holds at rest, and what its buffers cost besides: not for what is on its way. */
const REST_BYTES = 192 * MEBIBYTE;

/** Above this more memory speeds nothing up. */
const MAX_MEMORY_BYTES = 1024 * MEBIBYTE;

/** The budget of a process that is ended where it needs more than `limitBytes`; undefined, 0 or huge is no limit. */
export function budgetWithin(limitBytes: number | undefined): number {
  if (limitBytes === undefined || limitBytes === 0 || limitBytes > 2 ** 50) return DEFAULT_MEMORY_BYTES;
  const budgetBytes = Math.trunc((limitBytes - REST_BYTES) / 1.5);
  return Math.min(Math.max(MIN_MEMORY_BYTES, budgetBytes), MAX_MEMORY_BYTES);
}

/** The ledger of this process: descriptors, threads and memory are the process's, not a torrent's. */
export const processMemory = new MemoryLedger();
