// What the swarm is given: a clock, links to peers, and somebody who stores. Invariant: none of these calls back
// into the swarm before it returns, and none blocks.

/**
 * The way to one peer. Messages leave in the order of the calls; a block that has to be read first may come later
 * than messages behind it.
 */
export interface PeerLink {
  /** Bytes of blocks that were handed over and have not left yet. */
  readonly pendingBytes: number;
  choke(): void;
  unchoke(): void;
  interested(): void;
  notInterested(): void;
  /** The same array goes to all peers. */
  haves(pieces: readonly number[]): void;
  bitfield(bits: Uint8Array): void;
  haveAll(): void;
  haveNone(): void;
  request(piece: number, begin: number, length: number): void;
  cancel(piece: number, begin: number, length: number): void;
  reject(piece: number, begin: number, length: number): void;
  suggest(piece: number): void;
  allowedFast(piece: number): void;
  keepAlive(): void;
  /** We hold a piece no more (BEP 54). False if the peer does not speak that. */
  dontHave(piece: number): boolean;
  /** Reads a block of a held piece and sends it; Swarm.uploaded() follows once it has left. */
  sendBlock(piece: number, begin: number, length: number): void;
  /** The swarm has dropped the peer; no more calls follow. */
  close(reason: string): void;
}

/** Memory for pieces on their way, of which every torrent of a process has a share. */
export interface PieceMemory {
  /** True if a piece of so many bytes may be kept in memory besides those that are. */
  hasRoomFor(bytes: number): boolean;
  /** A piece is started. Where there is no room for it, its blocks wait on disk until all are here: it is staged. */
  started(piece: number): void;
  /** What may be outstanding at all peers together, in bytes, while pieces are staged; Infinity while none is. */
  readonly mostOutstandingBytes: number;
}

/**
 * What becomes of a block that has come: it is of no use; it is to be kept; or it is to be kept and was the last one of
 * its piece, whose hash is now to be checked: later, Swarm.pieceVerified, pieceCorrupt or pieceUnwritten must be called.
 */
export type BlockVerdict = 'discard' | 'keep' | 'finish';

/** Where blocks go that are of use. */
export interface BlockIntake {
  /**
   * Keeps a block of a started piece: `length` bytes of `buffer` from `start` on, which are valid during the call only.
   * The last one of a piece finishes it.
   */
  keep(piece: number, begin: number, buffer: Buffer, start: number, length: number, isLast: boolean): void;
}

/** Who stores, limits and wakes. */
export interface SwarmHost {
  /** Without it pieces are bounded by their number alone. */
  readonly memory?: PieceMemory;
  /** What was stored of a piece is of no use any more. */
  pieceDropped(piece: number): void;
  /** Every piece is held. */
  completed(): void;
  /** Nothing more is wanted of whoever has this identity. */
  banned(identity: string, reason: string): void;
  /** Call Swarm.flushHaves() within `withinMilliseconds`. */
  wakeForHaves(withinMilliseconds: number): void;
  /** Tells all peers at once, where that is less work than PeerLink.haves() for each; false if it is not. */
  tellAll?(pieces: readonly number[]): boolean;
  /** False if a limit leaves no room now; asked again at the next tick. */
  mayUpload(now: number): boolean;
  spendUpload(bytes: number): void;
  mayDownload(now: number): boolean;
  spendDownload(bytes: number): void;
  /** A request was taken back. */
  refundDownload(bytes: number): void;
}
