// Who of a banned network is refused, by what a connection's first bytes say.
import { expect, test } from '@jest/globals';
import type { PeerConnection } from '../../../torrent/session/connection-owner.ts';
import { Connections } from '../../../torrent/session/connections.ts';
import type { Greeting } from '../../../torrent/session/greeting.ts';
import type { TorrentSurroundings } from '../../../torrent/session/surroundings.ts';
import { PeerList } from '../../../torrent/swarm/peers/peer-list.ts';
import { OwnAddress } from '../../../torrent/swarm/peers/peer-priority.ts';
import { clusterPolicy } from '../../../torrent/swarm/policy/cluster.ts';
import { silent } from './harness.ts';

const infoHash = Buffer.alloc(20, 7);

function connections() {
  const peers = new PeerList(60_000, () => 0.5);
  const dropped: string[] = [];
  const around = {
    peerId: Buffer.from('-EX0200-000000000000'),
    clock: { monotonic: () => 0 },
    logger: silent,
    hasRoom: () => true,
  } as Partial<TorrentSurroundings> as TorrentSurroundings;
  const all = new Connections(
    {
      infoHash,
      policy: clusterPolicy,
      peers,
      around,
      ownAddress: new OwnAddress(),
      taken: ({ address }, { peerId }) => ({ address, peerId }) as PeerConnection,
      drop: ({ address }) => dropped.push(address.host),
    },
    () => {},
  );
  const isTaken = (host: string, peerId: string) => {
    const greeting = { address: { host, port: 1 }, outgoing: false, socket: { close() {} } };
    const handshake = { infoHash, peerId: Buffer.from(peerId), fast: true, extensions: true };
    return all.take(greeting as Partial<Greeting> as Greeting, handshake) !== undefined;
  };
  return { all, peers, dropped, isTaken };
}

test('of the /64 of a banned address strangers are refused and dropped, and clients of our kind are not', () => {
  const { all, peers, dropped, isTaken } = connections();
  expect(isTaken('2a01:4f8:1:2::1', '-XX0100-000000000001')).toBe(true);
  expect(isTaken('2a01:4f8:1:2::2', '-XX0100-000000000002')).toBe(true);
  expect(isTaken('2a01:4f8:1:2::3', '-EX0100-000000000003')).toBe(true);
  expect(isTaken('2a01:4f8:1:3::4', '-XX0100-000000000004')).toBe(true);
  peers.ban('2a01:4f8:1:2::1');
  all.dropBanned('it sent bytes that failed their hash');
  expect(dropped).toEqual(['2a01:4f8:1:2::1', '2a01:4f8:1:2::2']);
  expect(isTaken('2a01:4f8:1:2::5', '-XX0100-000000000005')).toBe(false);
  expect(isTaken('2a01:4f8:1:2::5', '-EX0100-000000000006')).toBe(true);
  expect(isTaken('2a01:4f8:1:2::1', '-EX0100-000000000007')).toBe(false);
});
