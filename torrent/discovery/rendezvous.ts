// Which tracker replica a swarm meets at. Invariant: everybody who knows the same names gets the same order,
// so that a swarm does not split; a replica that comes or goes moves only the swarms it had or gets.
import { createHash } from 'node:crypto';

/**
 * Rendezvous hashing: the names ordered by SHA-256(name + info hash), highest first, ties by name.
 * One replica a tier, in this order, gives fail-over (BEP 12).
 */
export function rankReplicas(infoHashHex: string, names: readonly string[]): string[] {
  return names
    .map((name) => ({
      name,
      weight: createHash('sha256')
        .update(name + infoHashHex)
        .digest(),
    }))
    .sort((a, b) => Buffer.compare(b.weight, a.weight) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ name }) => name);
}
