// The tracker replicas, as this node last saw them. Invariant: every agent that sees the same Services asks the
// replicas of a swarm in the same order (rendezvous hashing), so that a swarm meets at one tracker.
import { Port } from '../../api/index.ts';
import { rankReplicas } from '../../torrent/index.ts';
import { type RootDisk, replaceFile } from '../content-root/disk.ts';

const announceUrl = (url: string) => `${url}/announce`;

/** Names of the replicas' Services, and where they are. */
export class Trackers {
  readonly #namespace: string;
  readonly #listeners = new Set<() => void>();
  readonly #anewListeners = new Set<(announceUrl: string) => void>();
  /** The Pod that answered last under a name; '' while none does. */
  #pods = new Map<string, string>();
  #names: string[] = [];

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** Takes the names as they are now; returns whether they changed. */
  set(names: readonly string[]): boolean {
    const next = [...new Set(names)].sort();
    if (next.join() === this.#names.join()) return false;
    this.#names = next;
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** Takes the Pods that are ready now, by name of the replica. One that was not there before knows nobody. */
  setPods(pods: ReadonlyMap<string, string>): void {
    const before = this.#pods;
    this.#pods = new Map([...[...before.keys()].map((name) => [name, ''] as const), ...pods]);
    for (const [name, pod] of pods) {
      const known = before.get(name);
      if (pod === '' || known === undefined || known === pod) continue;
      for (const listener of this.#anewListeners) listener(announceUrl(this.#url(name)));
    }
  }

  /** Calls back with the announce URL of each replica that began anew; returns what ends that. */
  onAnew(listener: (announceUrl: string) => void): () => void {
    this.#anewListeners.add(listener);
    return () => this.#anewListeners.delete(listener);
  }

  /** Calls back after each change; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Base URLs of the replicas' web servers, best first. */
  webServers(infoHashHex: string): string[] {
    return rankReplicas(infoHashHex, this.#names).map((name) => this.#url(name));
  }

  /** Announce URLs in tiers (BEP 12): one replica a tier, best first. */
  tiers(infoHashHex: string): string[][] {
    return this.webServers(infoHashHex).map((url) => [announceUrl(url)]);
  }

  /** Keeps the names, for a start while the API server is away. */
  async save(disk: RootDisk, path: string): Promise<void> {
    await replaceFile(disk, path, `${JSON.stringify(this.#names)}\n`);
  }

  /** Takes up the names that were kept, unless some are known already. */
  async restore(disk: RootDisk, path: string): Promise<void> {
    const bytes = await disk.readFile(path);
    if (bytes === undefined || this.#names.length > 0) return;
    try {
      const value: unknown = JSON.parse(bytes.toString('utf8'));
      if (Array.isArray(value)) this.set(value.filter((name) => typeof name === 'string'));
    } catch {
      // Torn or of another form: the API server will tell.
    }
  }

  #url(name: string): string {
    // A name with a colon is an address already: tests and machines without a cluster DNS.
    return name.includes(':') ? `http://${name}` : `http://${name}.${this.#namespace}.svc:${Port.Tracker}`;
  }
}
