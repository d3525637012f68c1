// The first 68 bytes of a connection (BEP 3), and the two reserved bits that we speak (BEP 6, BEP 10).
// Invariant: whatever is not a plain BitTorrent handshake is known as foreign by its first wrong byte, so that
// an encrypted opening (MSE) or a port scan costs neither memory nor time.
import { TorrentError } from '../errors.ts';

/** Length of a handshake in bytes. */
export const HANDSHAKE_BYTES = 68;

const PROTOCOL = Buffer.from('\x13BitTorrent protocol', 'latin1');
const RESERVED_AT = PROTOCOL.length;
const INFO_HASH_AT = RESERVED_AT + 8;
const PEER_ID_AT = INFO_HASH_AT + 20;

/** What a handshake says. */
export interface Handshake {
  /** 20 bytes. */
  infoHash: Buffer;
  /** 20 bytes. */
  peerId: Buffer;
  /** Fast extension (BEP 6). */
  fast: boolean;
  /** Extension protocol (BEP 10). */
  extensions: boolean;
}

/** Our handshake: both reserved bits set. @throws TorrentError InvalidRequest if a length is not 20. */
export function encodeHandshake(infoHash: Uint8Array, peerId: Uint8Array): Buffer {
  if (infoHash.length !== 20 || peerId.length !== 20) {
    throw new TorrentError('InvalidRequest', 'an info hash and a peer id have 20 bytes each');
  }
  const bytes = Buffer.alloc(HANDSHAKE_BYTES);
  PROTOCOL.copy(bytes);
  bytes[RESERVED_AT + 5] = 0x10;
  bytes[RESERVED_AT + 7] = 0x04;
  bytes.set(infoHash, INFO_HASH_AT);
  bytes.set(peerId, PEER_ID_AT);
  return bytes;
}

/** Collects a handshake from chunks of any size. */
export class HandshakeReader {
  readonly #bytes = Buffer.alloc(HANDSHAKE_BYTES);
  #length = 0;

  /** The info hash once its bytes are here: an accepting side may answer before the peer id has come (BEP 3). */
  get infoHash(): Buffer | undefined {
    return this.#length >= PEER_ID_AT ? this.#bytes.subarray(INFO_HASH_AT, PEER_ID_AT) : undefined;
  }

  /**
   * Takes bytes; returns how many of them belong to the handshake.
   * @throws TorrentError PeerProtocol at the first byte that no handshake has.
   */
  push(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, HANDSHAKE_BYTES - this.#length);
    this.#bytes.set(chunk.subarray(0, taken), this.#length);
    const checkable = Math.min(this.#length + taken, PROTOCOL.length);
    for (let i = this.#length; i < checkable; i++) {
      if (this.#bytes[i] !== PROTOCOL[i]) {
        throw new TorrentError('PeerProtocol', 'the peer did not open with a BitTorrent handshake');
      }
    }
    this.#length += taken;
    return taken;
  }

  /** The handshake, once all of it is here. */
  get result(): Handshake | undefined {
    if (this.#length < HANDSHAKE_BYTES) return undefined;
    return {
      infoHash: Buffer.from(this.#bytes.subarray(INFO_HASH_AT, PEER_ID_AT)),
      peerId: Buffer.from(this.#bytes.subarray(PEER_ID_AT)),
      fast: ((this.#bytes[RESERVED_AT + 7] ?? 0) & 0x04) !== 0,
      extensions: ((this.#bytes[RESERVED_AT + 5] ?? 0) & 0x10) !== 0,
    };
  }
}
