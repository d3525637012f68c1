/** Counts connections by host. Invariant: no host has more than it may; all others may have theirs. */
import type { Socket } from 'node:net';
import { hostNetwork } from '../../torrent/index.ts';

export class ConnectionsOfHosts {
  readonly #most: number;
  readonly #counts = new Map<string, number>();

  /** @param most connections of one IPv4 address, or one /64 of IPv6 */
  constructor(most: number) {
    this.#most = most;
  }

  /** Takes a connection that was just accepted, or ends it: false then. */
  takes(socket: Socket): boolean {
    const host = hostNetwork(socket.remoteAddress ?? '');
    const count = this.#counts.get(host) ?? 0;
    if (count >= this.#most) {
      socket.destroy();
      return false;
    }
    this.#counts.set(host, count + 1);
    socket.once('close', () => this.#left(host));
    return true;
  }

  #left(host: string): void {
    const count = this.#counts.get(host) ?? 0;
    if (count <= 1) this.#counts.delete(host);
    else this.#counts.set(host, count - 1);
  }
}
