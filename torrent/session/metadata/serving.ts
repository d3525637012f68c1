// Gives our metadata to peers that came by a magnet link (BEP 9). Invariants: a peer gets each piece a few times at
// most; all peers together get SERVED_BYTES_PER_SECOND, within the limits on uploads; what waits is bounded.
import { TokenBucket } from '../../swarm/token-bucket.ts';
import {
  encodeMetadataData,
  encodeMetadataReject,
  METADATA_EXTENSION,
  METADATA_PIECE_BYTES,
  type MetadataMessage,
  metadataPieces,
} from '../../wire/metadata-message.ts';
import type { PeerConnection } from '../peers/connection-owner.ts';

/** What one torrent gives of its metadata to all peers. */
const SERVED_BYTES_PER_SECOND = 8 * 1024 * 1024;

/** Times that one connection gets the whole metadata. */
const COPIES_PER_PEER = 2;

/** Requests of one torrent that wait; the rest is refused. */
const MAX_WAITING = 1024;

/** Limits that hold besides. */
interface UploadLimit {
  mayUpload(now: number): boolean;
  spendUpload(bytes: number): void;
}

/** The serving side of ut_metadata. */
export class MetadataServing {
  readonly #infoBytes: Uint8Array;
  readonly #pieces: number;
  readonly #limit: UploadLimit;
  readonly #bucket: TokenBucket;
  readonly #left = new WeakMap<PeerConnection, number>();
  #waiting: { connection: PeerConnection; piece: number }[] = [];

  constructor(infoBytes: Uint8Array, limit: UploadLimit, now: number) {
    this.#infoBytes = infoBytes;
    this.#pieces = metadataPieces(infoBytes.length);
    this.#limit = limit;
    this.#bucket = new TokenBucket(SERVED_BYTES_PER_SECOND, now);
  }

  /** What a peer says; only requests concern us. */
  heard(connection: PeerConnection, message: MetadataMessage | undefined, now: number): void {
    if (message?.kind !== 'request') return;
    const { piece } = message;
    const left = this.#left.get(connection) ?? COPIES_PER_PEER * this.#pieces;
    if (piece >= this.#pieces || left === 0 || this.#waiting.length >= MAX_WAITING) {
      connection.sendExtended(METADATA_EXTENSION, encodeMetadataReject(piece));
      return;
    }
    this.#left.set(connection, left - 1);
    this.#waiting.push({ connection, piece });
    this.serve(now);
  }

  /** Sends what the limits allow; every 100 ms. */
  serve(now: number): void {
    while (this.#waiting.length > 0 && this.#bucket.isOpen(now) && this.#limit.mayUpload(now)) {
      const { connection, piece } = this.#waiting.shift() as { connection: PeerConnection; piece: number };
      if (connection.isClosed) continue;
      this.#bucket.spend(METADATA_PIECE_BYTES);
      this.#limit.spendUpload(METADATA_PIECE_BYTES);
      connection.sendExtended(METADATA_EXTENSION, encodeMetadataData(piece, this.#infoBytes));
    }
  }
}
