// Dials the addresses of one swarm. Invariants: an address is dialled once at a time; every dial ends as an
// established greeting or a failure of its address, and is watched by the session until then.
import type { PeerAddress } from '../../discovery/discovery.ts';
import type { PeerList } from '../../swarm/peers/peer-list.ts';
import type { Handshake } from '../../wire/handshake.ts';
import { Greeting } from '../greeting/greeting.ts';
import type { TorrentSurroundings } from '../surroundings.ts';

/** Takes a connection on which both handshakes are exchanged. */
export type Established = (greeting: Greeting, handshake: Handshake, rest: Buffer) => void;

/** The dials of one swarm. */
export class Dialler {
  readonly #infoHash: Uint8Array;
  readonly #peers: PeerList;
  readonly #around: TorrentSurroundings;
  readonly #established: Established;
  readonly #dialling = new Set<Greeting>();

  constructor(infoHash: Uint8Array, peers: PeerList, around: TorrentSurroundings, established: Established) {
    this.#infoHash = infoHash;
    this.#peers = peers;
    this.#around = around;
    this.#established = established;
  }

  /** Dials under way. */
  get size(): number {
    return this.#dialling.size;
  }

  /** Dials one more address; false if there is none to dial now. */
  dialNext(now: number, skipSeeds: boolean): boolean {
    const address = this.#peers.next(now, skipSeeds);
    if (address === undefined) return false;
    this.#dial(address);
    return true;
  }

  /** Gives up every dial under way. */
  stop(reason: string): void {
    for (const greeting of [...this.#dialling]) this.#failed(greeting, reason);
  }

  #dial(address: PeerAddress): void {
    const greeting = Greeting.dial(
      address,
      this.#around.localAddress(),
      { infoHash: this.#infoHash, peerId: this.#around.peerId },
      () => this.#around.clock.monotonic(),
      {
        answer: () => undefined,
        established: (done, handshake, rest) => {
          this.#around.unwatch(done);
          this.#dialling.delete(done);
          this.#established(done, handshake, rest);
        },
        failed: (done, reason) => this.#failed(done, reason),
      },
    );
    this.#dialling.add(greeting);
    this.#around.watch(greeting);
  }

  #failed(greeting: Greeting, reason: string): void {
    this.#around.unwatch(greeting);
    if (!this.#dialling.delete(greeting)) return;
    greeting.socket.close();
    this.#around.logger.debug({ peer: greeting.address, reason }, 'dial failed');
    this.#peers.failed(greeting.address, this.#around.clock.monotonic());
  }
}
