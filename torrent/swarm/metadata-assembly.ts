// Puts a torrent's metadata together from what peers give (BEP 9). Invariants: only bytes whose SHA-1 is the info
// hash come out; memory is bounded by MAX_SIZES times the largest metainfo and by the account; a peer that alone gave bytes that fail
// is guilty, and after a failure of several each is asked alone, so that no liar can stand in the way for ever.
import { createHash } from 'node:crypto';
import type { MemoryAccount } from '../memory-ledger.ts';
import { METADATA_PIECE_BYTES, metadataPieces } from '../wire/metadata-message.ts';

/** Peers may claim different sizes, of which one is right: so many are tried at a time. */
const MAX_SIZES = 4;

/** Pieces asked of one peer at a time. */
const MAX_OUTSTANDING = 4;

/** A piece that was asked for so long ago may be asked of a second peer. */
const SECOND_ASK_MILLISECONDS = 2000;

/** A peer that does not answer a request for so long is of no use. */
const ANSWER_MILLISECONDS = 10_000;

/** A peer that refused is asked again after this long. */
const REFUSED_REST_MILLISECONDS = 15_000;

/** One peer that has metadata; made by join(). */
export interface MetadataSource {
  /** Sends a request for a piece. */
  ask(piece: number): void;
}

interface Asked {
  readonly piece: number;
  readonly at: number;
}

interface Member {
  readonly source: MetadataSource;
  readonly attempt: Attempt;
  asked: Asked[];
  restsUntil: number;
}

/** One claimed size, and what came for it. */
interface Attempt {
  readonly bytes: number;
  readonly pieces: (Uint8Array | undefined)[];
  readonly givers: Set<MetadataSource>;
  /** After a failure of several: the one that is asked now. */
  alone: MetadataSource | undefined;
  isOneByOne: boolean;
}

/** What became of a message. */
export type AssemblyOutcome =
  | { kind: 'more' }
  | { kind: 'done'; infoBytes: Buffer }
  | { kind: 'guilty'; source: MetadataSource };

const MORE: AssemblyOutcome = { kind: 'more' };

/** The metadata of one torrent on its way. */
export class MetadataAssembly {
  readonly #infoHash: Uint8Array;
  readonly #memory: MemoryAccount;
  readonly #attempts = new Map<number, Attempt>();
  readonly #members = new Map<MetadataSource, Member>();

  /** @param memory for what comes */
  constructor(infoHash: Uint8Array, memory: MemoryAccount) {
    this.#infoHash = infoHash;
    this.#memory = memory;
  }

  /** Bytes that are here, and bytes there should be, of the attempt that is furthest. */
  progress(): { bytes: number; totalBytes: number | undefined } {
    let best = { bytes: 0, totalBytes: undefined as number | undefined };
    for (const { bytes: totalBytes, pieces } of this.#attempts.values()) {
      const bytes = pieces.reduce((sum, piece) => sum + (piece?.length ?? 0), 0);
      if (best.totalBytes === undefined || bytes > best.bytes) best = { bytes, totalBytes };
    }
    return best;
  }

  /** A peer says that it has metadata of so many bytes. False if there is no room for one more claim. */
  join(source: MetadataSource, bytes: number, now: number): boolean {
    if (this.#members.has(source)) return true;
    let attempt = this.#attempts.get(bytes);
    if (attempt === undefined) {
      if (this.#attempts.size >= MAX_SIZES || !this.#memory.take(bytes)) return false;
      const pieces = new Array<Uint8Array | undefined>(metadataPieces(bytes)).fill(undefined);
      attempt = { bytes, pieces, givers: new Set(), alone: undefined, isOneByOne: false };
      this.#attempts.set(bytes, attempt);
    }
    this.#members.set(source, { source, attempt, asked: [], restsUntil: 0 });
    this.#ask(now);
    return true;
  }

  /** The peer is gone. A claim that nobody makes any more is forgotten. */
  leave(source: MetadataSource, now: number): void {
    const member = this.#members.get(source);
    if (member === undefined) return;
    this.#members.delete(source);
    const { attempt } = member;
    if (attempt.alone === source) restart(attempt);
    if (!this.#membersOf(attempt).next().done) this.#ask(now);
    else if (this.#attempts.delete(attempt.bytes)) this.#memory.giveBack(attempt.bytes);
  }

  /** Forgets everything. */
  clear(): void {
    this.#members.clear();
    this.#attempts.clear();
    this.#memory.clear();
  }

  /** The peer refuses a piece. */
  refused(source: MetadataSource, piece: number, now: number): void {
    const member = this.#members.get(source);
    if (member === undefined || !forget(member, piece)) return;
    member.restsUntil = now + REFUSED_REST_MILLISECONDS;
    if (member.attempt.alone === source) restart(member.attempt);
    this.#ask(now);
  }

  /** A piece came; copied if it is of use. */
  received(source: MetadataSource, piece: number, data: Uint8Array, now: number): AssemblyOutcome {
    const member = this.#members.get(source);
    // Nobody asked: it may be the answer to a request whose peer was given up.
    if (member === undefined || !forget(member, piece)) return MORE;
    const { attempt } = member;
    // Asked before a failure made us ask one at a time.
    if (attempt.isOneByOne && attempt.alone !== source) return MORE;
    const last = attempt.pieces.length - 1;
    const expected = piece === last ? attempt.bytes - last * METADATA_PIECE_BYTES : METADATA_PIECE_BYTES;
    if (data.length !== expected) return { kind: 'guilty', source };
    if (attempt.pieces[piece] === undefined) {
      attempt.pieces[piece] = Uint8Array.from(data);
      attempt.givers.add(source);
    }
    if (attempt.pieces.includes(undefined)) {
      this.#ask(now);
      return MORE;
    }
    const infoBytes = Buffer.concat(attempt.pieces as Uint8Array[]);
    if (createHash('sha1').update(infoBytes).digest().equals(this.#infoHash)) {
      return { kind: 'done', infoBytes };
    }
    const [only] = attempt.givers.size === 1 ? attempt.givers : [];
    attempt.isOneByOne = true;
    restart(attempt);
    if (only !== undefined) return { kind: 'guilty', source: only };
    this.#ask(now);
    return MORE;
  }

  /** Every 100 ms: returns those that did not answer in time, which are of no use. */
  tick(now: number): MetadataSource[] {
    const silent: MetadataSource[] = [];
    for (const member of this.#members.values()) {
      if (member.asked.some(({ at }) => now - at > ANSWER_MILLISECONDS)) silent.push(member.source);
    }
    this.#ask(now);
    return silent;
  }

  *#membersOf(attempt: Attempt): Generator<Member> {
    for (const member of this.#members.values()) if (member.attempt === attempt) yield member;
  }

  #ask(now: number): void {
    for (const attempt of this.#attempts.values()) {
      const able = [...this.#membersOf(attempt)].filter((member) => member.restsUntil <= now);
      if (attempt.isOneByOne) {
        attempt.alone ??= able[0]?.source;
        const chosen = able.find(({ source }) => source === attempt.alone);
        if (chosen !== undefined) this.#fill(chosen, now);
      } else {
        for (const member of able) this.#fill(member, now);
      }
    }
  }

  #fill(member: Member, now: number): void {
    while (member.asked.length < MAX_OUTSTANDING) {
      const piece = this.#choose(member, now);
      if (piece < 0) return;
      member.asked.push({ piece, at: now });
      member.source.ask(piece);
    }
  }

  /** A missing piece that nobody was asked for, or one that somebody is slow to give; -1 if there is none. */
  #choose(member: Member, now: number): number {
    const { attempt } = member;
    const askedSince = new Map<number, number[]>();
    for (const { asked } of this.#membersOf(attempt)) {
      for (const { piece, at } of asked) askedSince.set(piece, [...(askedSince.get(piece) ?? []), at]);
    }
    let second = -1;
    for (const [piece, data] of attempt.pieces.entries()) {
      if (data !== undefined) continue;
      const since = askedSince.get(piece);
      if (since === undefined) return piece;
      const isSlow = since.length === 1 && now - (since[0] as number) > SECOND_ASK_MILLISECONDS;
      if (second < 0 && isSlow && !member.asked.some((asked) => asked.piece === piece)) second = piece;
    }
    return second;
  }
}

/** Takes a request off the member's list; false if it was not asked for the piece. */
function forget(member: Member, piece: number): boolean {
  const at = member.asked.findIndex((asked) => asked.piece === piece);
  if (at < 0) return false;
  member.asked.splice(at, 1);
  return true;
}

/** Begins anew with the next peer. */
function restart(attempt: Attempt): void {
  attempt.pieces.fill(undefined);
  attempt.givers.clear();
  attempt.alone = undefined;
}
