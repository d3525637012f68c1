// A connection before both handshakes are exchanged. Invariant: it ends in exactly one of established, failed or
// abandoned, within HANDSHAKE_MILLISECONDS; until then it holds 68 bytes of its peer at most, and what came
// behind them.
import type { PeerAddress } from '../../discovery/discovery.ts';
import { isTorrentError } from '../../errors.ts';
import { encodeHandshake, type Handshake, HandshakeReader } from '../../wire/handshake.ts';
import { PeerSocket } from '../peers/peer-socket.ts';

/** From accept, or from the connection of a dialled one, to the peer's whole handshake. */
export const HANDSHAKE_MILLISECONDS = 10_000;

/** A dial that is not answered. */
export const DIAL_MILLISECONDS = 5000;

/** Who hears how a greeting ends. */
export interface GreetingEvents {
  /** The info hash that the peer named, on an accepted socket: may we speak? Gives our peer id, or nothing. */
  answer(infoHash: Buffer): Uint8Array | undefined;
  /** Both handshakes are exchanged; `rest` is what came behind the peer's. */
  established(greeting: Greeting, handshake: Handshake, rest: Buffer): void;
  failed(greeting: Greeting, reason: string): void;
}

/** One connection on its way to its handshake. */
export class Greeting {
  readonly outgoing: boolean;
  /** Where we dialled, or where the accepted socket comes from. */
  readonly address: PeerAddress;
  readonly socket: PeerSocket;
  /** Time of the session's clock at which patience ends. */
  deadline: number;
  readonly #reader = new HandshakeReader();
  readonly #events: GreetingEvents;
  #answered = false;

  private constructor(
    outgoing: boolean,
    deadline: number,
    events: GreetingEvents,
    open: (greeting: Greeting) => PeerSocket,
    address?: PeerAddress,
  ) {
    this.outgoing = outgoing;
    this.deadline = deadline;
    this.#events = events;
    this.socket = open(this);
    this.address = address ?? this.socket.remote;
  }

  /** Dials, from an address of ours if it is given, and sends our handshake. */
  static dial(
    address: PeerAddress,
    localAddress: string | undefined,
    ours: { infoHash: Uint8Array; peerId: Uint8Array },
    now: () => number,
    events: GreetingEvents,
  ): Greeting {
    return new Greeting(
      true,
      now() + DIAL_MILLISECONDS,
      events,
      (greeting) =>
        PeerSocket.dial(address, localAddress, {
          connected: () => {
            greeting.#answered = true;
            greeting.deadline = now() + HANDSHAKE_MILLISECONDS;
            greeting.socket.write([encodeHandshake(ours.infoHash, ours.peerId)]);
          },
          data: (chunk) => greeting.#data(chunk),
          closed: (reason) => events.failed(greeting, reason),
        }),
      address,
    );
  }

  /** Waits for the handshake of an accepted socket. */
  static accept(
    socket: Parameters<typeof PeerSocket.accept>[0],
    now: number,
    events: GreetingEvents,
  ): Greeting {
    return new Greeting(false, now + HANDSHAKE_MILLISECONDS, events, (greeting) =>
      PeerSocket.accept(socket, {
        connected: () => undefined,
        data: (chunk) => greeting.#data(chunk),
        closed: (reason) => events.failed(greeting, reason),
      }),
    );
  }

  /** Gives up: `failed` follows. */
  abandon(reason: string): void {
    this.#events.failed(this, reason);
  }

  #data(chunk: Buffer): void {
    let taken: number;
    try {
      taken = this.#reader.push(chunk);
    } catch (error) {
      if (!isTorrentError(error)) throw error;
      this.#events.failed(this, error.message);
      return;
    }
    const { infoHash, result } = this.#reader;
    if (!this.#answered && infoHash !== undefined) {
      const peerId = this.#events.answer(infoHash);
      if (peerId === undefined) {
        this.#events.failed(this, 'an unknown info hash');
        return;
      }
      this.#answered = true;
      this.socket.write([encodeHandshake(infoHash, peerId)]);
    }
    if (result !== undefined) this.#events.established(this, result, chunk.subarray(taken));
  }
}
