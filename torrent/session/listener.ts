// The port of a session, and who comes in by it until both handshakes are exchanged. Invariant: connections without a
// handshake are bounded in number and time.
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger, Stopwatch } from '../../base/index.ts';
import { AcceptedGreetings } from './greeting/accepted-greetings.ts';
import { Greeting } from './greeting/greeting.ts';
import { ACCEPT_OPTIONS } from './peers/accepted-socket.ts';
import { plainHost } from './peers/peer-socket.ts';
import type { SwarmMember } from './swarm-member.ts';

/** Accepted sockets without a handshake. */
const MAX_ACCEPTED_GREETINGS = 200;

/** A peer that was refused has this long to see the end. */
const REFUSED_MILLISECONDS = 1000;

/** Listening there is listening on all addresses, of both families or of IPv4. */
const EVERY_ADDRESS: readonly string[] = ['::', '0.0.0.0'];

/** What the listener needs of its session. */
export interface ListenerSurroundings {
  readonly peerId: Buffer;
  readonly clock: Stopwatch;
  readonly logger: Logger;
  /** What the session has under an info hash. */
  memberOf(infoHash: Buffer): SwarmMember | undefined;
  /** Connections that may come besides those that stand or are being made. */
  room(): number;
  /** True if somebody whom we trust named the host. */
  isOurs(host: string): boolean;
}

/** One listening port. */
export class Listener {
  readonly #around: ListenerSurroundings;
  readonly #accepted: AcceptedGreetings;
  readonly #refused = new Set<Greeting>();
  #server: Server | undefined;
  #port = 0;
  #localAddress: string | undefined;
  #isClosed = false;

  constructor(around: ListenerSurroundings) {
    this.#around = around;
    this.#accepted = new AcceptedGreetings((host) => around.isOurs(host));
  }

  /** True from the first listen() on, unless it failed. */
  get isOpen(): boolean {
    return this.#server !== undefined;
  }

  /** Where it listens; 0 before it does. */
  get port(): number {
    return this.#port;
  }

  /** The one address it listens on; undefined where it is every address, and before it listens. */
  get localAddress(): string | undefined {
    return this.#localAddress;
  }

  /** Listens, once. @throws the system's error (EADDRINUSE…) */
  async listen(where: { host?: string; port: number }): Promise<void> {
    const server = createServer(ACCEPT_OPTIONS, (socket) => this.#accept(socket));
    this.#server = server;
    try {
      await listening(server, where);
    } catch (error) {
      this.#server = undefined;
      throw error;
    }
    server.on('error', (error) => this.#around.logger.error({ err: error }, 'the listening socket failed'));
    const address = server.address();
    if (typeof address === 'object' && address !== null) {
      this.#port = address.port;
      const host = plainHost(address.address);
      this.#localAddress = EVERY_ADDRESS.includes(host) ? undefined : host;
    }
  }

  /** Every 100 ms: ends what takes too long. */
  tick(now: number): void {
    for (const greeting of [...this.#accepted, ...this.#refused]) {
      if (now >= greeting.deadline) this.#end(greeting);
    }
  }

  /** Lets nobody in any more, and waits until the port is free: the connections have to end before. Never rejects. */
  close(): Promise<void> {
    this.#isClosed = true;
    const server = this.#server;
    const unlistened =
      server === undefined
        ? Promise.resolve()
        : new Promise<void>((resolve) => server.close(() => resolve()));
    for (const greeting of [...this.#accepted, ...this.#refused]) this.#end(greeting);
    return unlistened;
  }

  #accept(socket: Socket): void {
    const address = { host: plainHost(socket.remoteAddress), port: socket.remotePort ?? 0 };
    if (this.#isClosed || !this.#makesPlace(address.host)) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    let member: SwarmMember | undefined;
    const greeting = Greeting.accept(socket, this.#around.clock.monotonic(), {
      answer: (infoHash) => {
        member = this.#around.memberOf(infoHash);
        return member?.admits(address) === true ? this.#around.peerId : undefined;
      },
      established: (done, handshake, rest) => {
        this.#accepted.delete(done);
        if (member === undefined) done.socket.close();
        else member.established(done, handshake, rest);
      },
      failed: (done, reason) => {
        this.#around.logger.debug({ peer: done.address, reason }, 'connection refused');
        this.#refuse(done);
      },
    });
    this.#accepted.add(greeting);
  }

  /** True if an accepted socket of the host may wait for its handshake, be it in the place of another one. */
  #makesPlace(host: string): boolean {
    const place = this.#accepted.place(host, Math.min(this.#around.room(), MAX_ACCEPTED_GREETINGS));
    if (place instanceof Greeting) this.#end(place);
    return place !== 'none';
  }

  /** An encrypted opening ends with an orderly end, so that its peer comes back in clear. */
  #refuse(greeting: Greeting): void {
    if (!this.#accepted.delete(greeting)) return;
    if (this.#refused.size >= MAX_ACCEPTED_GREETINGS) {
      greeting.socket.close();
      return;
    }
    greeting.socket.refuse();
    greeting.deadline = this.#around.clock.monotonic() + REFUSED_MILLISECONDS;
    this.#refused.add(greeting);
  }

  #end(greeting: Greeting): void {
    this.#accepted.delete(greeting);
    this.#refused.delete(greeting);
    greeting.socket.close();
  }
}

/** Listens; without a host Node takes all addresses of both families, or of IPv4 where there is no IPv6. */
function listening(server: Server, listen: { host?: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
