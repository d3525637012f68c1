// Accepted sockets that have not greeted yet. Invariant: when there are as many as there may be, a place goes to the
// host that has the fewest, so that no host keeps others out, however many sockets it opens.
import { hostNetwork } from '../swarm/peers/host-network.ts';
import type { Greeting } from './greeting.ts';

/** See above. */
export class AcceptedGreetings {
  readonly #byHost = new Map<string, Set<Greeting>>();
  #size = 0;

  /**
   * The place of one more socket of the host while there may be `most`: free, or that of the oldest greeting of the
   * host that has the most, which has to end for it; none if the host itself would then have as many.
   */
  place(host: string, most: number): 'free' | Greeting | 'none' {
    if (this.#size < most) return 'free';
    let largest = new Set<Greeting>();
    for (const greetings of this.#byHost.values()) if (greetings.size > largest.size) largest = greetings;
    const own = this.#byHost.get(hostNetwork(host))?.size ?? 0;
    const oldest = largest.values().next().value;
    return oldest !== undefined && own + 1 < largest.size ? oldest : 'none';
  }

  add(greeting: Greeting): void {
    const host = hostNetwork(greeting.address.host);
    const greetings = this.#byHost.get(host) ?? new Set();
    this.#byHost.set(host, greetings.add(greeting));
    this.#size++;
  }

  /** False if it was not one of these. */
  delete(greeting: Greeting): boolean {
    const host = hostNetwork(greeting.address.host);
    const greetings = this.#byHost.get(host);
    if (greetings?.delete(greeting) !== true) return false;
    if (greetings.size === 0) this.#byHost.delete(host);
    this.#size--;
    return true;
  }

  *[Symbol.iterator](): IterableIterator<Greeting> {
    for (const greetings of this.#byHost.values()) yield* greetings;
  }
}
