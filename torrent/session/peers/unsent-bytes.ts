// What all peers together may leave unread. Invariant: memory that peers hold by not reading what they asked for is
// bounded for the process, however many connections they have; whoever holds the most pays for it.
import { hostNetwork } from '../../swarm/peers/host-network.ts';
import type { PeerConnection } from './connection-owner.ts';

/** A connection of which bytes wait, as this bound knows it. */
type Owed = Pick<PeerConnection, 'address' | 'unsentBytes' | 'end'>;

/**
 * Ends connections until no more than `most` bytes wait in all of them: each time the one with the most unsent bytes
 * of the host with the most. Returns how many wait then.
 */
export function boundUnsentBytes(connections: Iterable<Owed>, most: number): number {
  const owed: { connection: Owed; bytes: number }[] = [];
  let total = 0;
  for (const connection of connections) {
    const bytes = connection.unsentBytes;
    if (bytes === 0) continue;
    owed.push({ connection, bytes });
    total += bytes;
  }
  if (total <= most) return total;
  const ofHost = new Map<string, number>();
  for (const { connection, bytes } of owed) {
    const host = hostNetwork(connection.address.host);
    ofHost.set(host, (ofHost.get(host) ?? 0) + bytes);
  }
  owed.sort((a, b) => b.bytes - a.bytes);
  while (total > most) {
    const [worst] = [...ofHost].reduce((most, next) => (next[1] > most[1] ? next : most));
    const index = owed.findIndex(({ connection }) => hostNetwork(connection.address.host) === worst);
    const [{ connection, bytes }] = owed.splice(index, 1) as [(typeof owed)[number]];
    connection.end('peers read too little of what they ask for, and it the least');
    total -= bytes;
    ofHost.set(worst, (ofHost.get(worst) ?? 0) - bytes);
  }
  return total;
}
