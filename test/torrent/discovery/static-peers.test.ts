import { expect, test } from '@jest/globals';
import type { PeerAddress } from '../../../torrent/discovery/discovery.ts';
import { staticPeers } from '../../../torrent/discovery/static-peers.ts';

test('named peers are given at the start and whenever more are wanted, until the end', async () => {
  const peers = [{ host: '10.0.0.1', port: 1 }];
  const discovery = staticPeers(peers);
  const lists: PeerAddress[][] = [];
  discovery.needMore();
  const swarm = {
    infoHash: Buffer.alloc(20),
    peerId: Buffer.alloc(20),
    port: 1,
    progress: () => ({ uploaded: 0, downloaded: 0, left: 0 }),
  };
  discovery.start(swarm, (addresses) => lists.push(addresses));
  discovery.announce('completed');
  discovery.needMore();
  await discovery.stop();
  discovery.needMore();
  expect(lists).toEqual([peers, peers]);
});
