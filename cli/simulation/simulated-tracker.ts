/**
 * The tracker's own choice of peers for nodes that are simulated: the registry that answers announces, asked by
 * number instead of over the network. Invariant: node `number` is in zone `number % zones`, as in the simulation.
 */
import { type Introducer, introduce } from '../../simulation/introductions.ts';
import { seededRandom } from '../../simulation/random.ts';
import { SwarmRegistry } from '../../tracker/registry.ts';

/** A swarm that a tracker brings together. */
export interface IntroducedSwarm {
  /** With the seed, which is number 0. */
  readonly nodes: number;
  /** Neighbours that a node wants. */
  readonly neighbours: number;
  readonly zones: number;
  /** How much of an answer is of the asker's zone; undefined where nobody states a zone. */
  readonly zoneShare: number | undefined;
  readonly seed: number;
}

const INFO_HASH = '00'.repeat(20);
/** As agents ask for. */
const WANTED_PEERS = 80;
const NEVER = 1e12;

/** Who is connected with whom, as pairs of numbers; the same for the same seed. */
export function introducedPairs({ nodes, neighbours, zones, zoneShare, seed }: IntroducedSwarm) {
  const limits = { maxPeers: nodes, maxPeersPerSwarm: nodes, maxPeersPerAddress: nodes };
  const registry = new SwarmRegistry({ now: 0, random: seededRandom(seed), limits, localShare: zoneShare });
  const ask: Introducer = (number) => {
    const report = {
      compact: Uint8Array.of(10, number >>> 16, number >>> 8, number, 0x1a, 0xe1),
      peerId: new Uint8Array(20),
      key: 0,
      uploadedBytes: 0,
      downloadedBytes: 0,
      leftBytes: number === 0 ? 0 : 1,
      node: undefined,
      isOwn: true,
      zone: zoneShare === undefined ? undefined : `${number % zones}`,
    };
    const { picked, pickedCount } = registry.announce(INFO_HASH, report, 'none', WANTED_PEERS, NEVER);
    return Array.from(picked.subarray(0, pickedCount), (peer) => {
      const [, high = 0, middle = 0, low = 0] = registry.table.compactOf(peer);
      return (high << 16) | (middle << 8) | low;
    });
  };
  return introduce(nodes, neighbours, ask);
}
