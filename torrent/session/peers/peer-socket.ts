// A TCP socket to a peer. Invariants: received bytes are consumed during the call that brings them (all
// sockets share one receive buffer); after close() nothing is called any more; what waits to be written is bounded.
import { connect, isIP, type Socket } from 'node:net';
import type { PeerAddress } from '../../discovery/discovery.ts';
import { lookupPeer } from '../../discovery/name-lookups.ts';
import { takeReads } from './accepted-socket.ts';

/** One buffer for all sockets: each read is consumed before the next one begins. */
const RECEIVE_BUFFER_BYTES = 256 * 1024;
const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);

/** A peer that lets this much wait does not read. */
export const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

/** Who hears of a socket. */
export interface SocketEvents {
  connected(): void;
  /** The bytes are valid during the call only. */
  data(chunk: Buffer): void;
  /** It has ended, for whatever reason; the last call. */
  closed(reason: string): void;
}

/** IPv4 addresses come as `::ffff:1.2.3.4` from a socket that listens on both. */
export function plainHost(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** One socket, dialled or accepted. */
export class PeerSocket {
  readonly #socket: Socket;
  #events: SocketEvents | undefined;
  #error = 'the connection was closed';

  private constructor(socket: Socket, events: SocketEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error = error.message;
    });
    socket.on('end', () => {
      this.#error = 'the peer closed the connection';
    });
    socket.on('close', () => this.#events?.closed(this.#error));
  }

  /**
   * Dials, from `localAddress` if it is given: of a name's addresses only those of the same family are tried then.
   * `events.connected` or `events.closed` follows.
   */
  static dial(address: PeerAddress, localAddress: string | undefined, events: SocketEvents): PeerSocket {
    const socket = connect({
      host: address.host,
      port: address.port,
      lookup: lookupPeer,
      ...(localAddress === undefined ? {} : { localAddress, family: isIP(localAddress) }),
      onread: {
        buffer: receiveBuffer,
        callback: (count: number) => {
          peer.#events?.data(receiveBuffer.subarray(0, count));
          return true;
        },
      },
    });
    const peer = new PeerSocket(socket, events);
    socket.once('connect', () => peer.#events?.connected());
    return peer;
  }

  /** Takes an accepted socket, of a server made with ACCEPT_OPTIONS. */
  static accept(socket: Socket, events: SocketEvents): PeerSocket {
    const taken = takeReads(socket, receiveBuffer, (bytes) => peer.#events?.data(bytes));
    const peer = new PeerSocket(taken, events);
    return peer;
  }

  /** The other end; `host` is empty if it is not known (any more). */
  get remote(): PeerAddress {
    return { host: plainHost(this.#socket.remoteAddress), port: this.#socket.remotePort ?? 0 };
  }

  /** Bytes that wait to be written. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** From here on somebody else hears of the socket. */
  handOver(events: SocketEvents): void {
    this.#events = events;
  }

  /**
   * Writes chunks, all in one system call if the kernel takes them. `done` is called when nobody reads them any more:
   * with true if they have left, with false if the socket failed or was closed before.
   */
  write(chunks: readonly Uint8Array[], done?: (haveLeft: boolean) => void): void {
    const socket = this.#socket;
    if (!socket.writable || chunks.length === 0) {
      done?.(false);
      return;
    }
    if (chunks.length > 1) socket.cork();
    const last = chunks.length - 1;
    for (let i = 0; i < last; i++) socket.write(chunks[i] as Uint8Array);
    socket.write(chunks[last] as Uint8Array, (error) => done?.(error === null || error === undefined));
    if (chunks.length > 1) socket.uncork();
  }

  /** Ends at once; nothing is called any more. */
  close(): void {
    this.#events = undefined;
    this.#socket.destroy();
  }

  /** Says nothing more and reads on without listening, so that the peer sees an orderly end. close() must follow. */
  refuse(): void {
    this.#events = undefined;
    this.#socket.end();
  }
}
