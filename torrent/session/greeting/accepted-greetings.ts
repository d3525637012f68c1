// Accepted sockets that have not greeted yet. Invariants: when there are as many as there may be, a place goes to the
// host that has the fewest, so that no host keeps others out, however many sockets it opens; a quarter of the places is
// for hosts that are known to be ours, each of which counts singly: clouds put whole clusters into one network.
import { hostNetwork } from '../../swarm/peers/host-network.ts';
import type { Greeting } from './greeting.ts';

/** Of all places, those that strangers may have. */
const STRANGERS_PART = 3 / 4;

/** Greetings of one kind of hosts. */
class Group {
  readonly byHost = new Map<string, Set<Greeting>>();
  size = 0;

  /** Those of the host that has the most. */
  get largest(): Set<Greeting> {
    let largest = new Set<Greeting>();
    for (const greetings of this.byHost.values()) if (greetings.size > largest.size) largest = greetings;
    return largest;
  }

  /** The greeting that has to end for one more of the host: the oldest of the host that has the most. */
  giving(host: string): Greeting | undefined {
    const own = this.byHost.get(host)?.size ?? 0;
    const { largest } = this;
    return own + 1 < largest.size ? largest.values().next().value : undefined;
  }
}

/** See above. */
export class AcceptedGreetings {
  readonly #isOurs: (host: string) => boolean;
  readonly #ours = new Group();
  readonly #strangers = new Group();
  /** In which group and under which name each counts: what is known of a host may change meanwhile. */
  readonly #places = new Map<Greeting, { group: Group; host: string }>();

  /** @param isOurs whether somebody whom we trust named the host */
  constructor(isOurs: (host: string) => boolean) {
    this.#isOurs = isOurs;
  }

  /**
   * The place of one more socket of the host while there may be `most`: free, or that of another greeting, which has to
   * end for it; none if the host itself would then have as many.
   */
  place(host: string, most: number): 'free' | Greeting | 'none' {
    const { group, name } = this.#countedAs(host);
    const mostStrangers = Math.ceil(most * STRANGERS_PART);
    const share = group === this.#strangers ? mostStrangers : most - mostStrangers;
    const isWithinShare = group.size < share;
    if (this.#places.size < most && (isWithinShare || group === this.#ours)) return 'free';
    // The others have borrowed what is this kind's.
    if (isWithinShare) return oldestOf(group === this.#ours ? this.#strangers : this.#ours) ?? 'none';
    return group.giving(name) ?? 'none';
  }

  add(greeting: Greeting): void {
    const { group, name } = this.#countedAs(greeting.address.host);
    const greetings = group.byHost.get(name) ?? new Set();
    group.byHost.set(name, greetings.add(greeting));
    group.size++;
    this.#places.set(greeting, { group, host: name });
  }

  /** False if it was not one of these. */
  delete(greeting: Greeting): boolean {
    const place = this.#places.get(greeting);
    if (place === undefined) return false;
    const { group, host } = place;
    this.#places.delete(greeting);
    const greetings = group.byHost.get(host);
    greetings?.delete(greeting);
    if (greetings?.size === 0) group.byHost.delete(host);
    group.size--;
    return true;
  }

  [Symbol.iterator](): IterableIterator<Greeting> {
    return this.#places.keys();
  }

  #countedAs(host: string): { group: Group; name: string } {
    if (this.#isOurs(host)) return { group: this.#ours, name: host };
    return { group: this.#strangers, name: hostNetwork(host) };
  }
}

function oldestOf(group: Group): Greeting | undefined {
  return group.largest.values().next().value;
}
