// Peers that a person named (`--peer`). Invariant: they are given again whenever more are asked for, because
// there is nowhere else to ask.
import type { Discovery, PeerAddress } from './discovery.ts';

/** A discovery that knows a fixed list of peers. */
export function staticPeers(list: readonly PeerAddress[]): Discovery {
  let report: ((addresses: PeerAddress[]) => void) | undefined;
  return {
    start(_swarm, onPeers) {
      report = onPeers;
      report([...list]);
    },
    announce() {},
    needMore() {
      report?.([...list]);
    },
    async stop() {
      report = undefined;
    },
  };
}
