// Whose connections are refused, by what their first bytes say: those of a banned network, and of a host that shows too much.
import { expect, test } from '@jest/globals';
import type { Greeting } from '../../../../torrent/session/greeting/greeting.ts';
import { ShownPieces } from '../../../../torrent/session/greeting/shown-pieces.ts';
import type { PeerConnection } from '../../../../torrent/session/peers/connection-owner.ts';
import { Connections } from '../../../../torrent/session/peers/connections.ts';
import type { TorrentSurroundings } from '../../../../torrent/session/surroundings.ts';
import { PeerList } from '../../../../torrent/swarm/peers/peer-list.ts';
import { OwnAddress } from '../../../../torrent/swarm/peers/peer-priority.ts';
import { clusterPolicy } from '../../../../torrent/swarm/policy/cluster.ts';
import { silent } from '../harness.ts';

const infoHash = Buffer.alloc(20, 7);

function connections(pieceCount = 1) {
  const peers = new PeerList(60_000, () => 0.5);
  const dropped: string[] = [];
  const clock = { time: 0, monotonic: () => clock.time };
  const around = {
    peerId: Buffer.from('-EX0200-000000000000'),
    clock,
    shownPieces: new ShownPieces(clock),
    logger: silent,
    hasRoom: () => true,
  } as Partial<TorrentSurroundings> as TorrentSurroundings;
  const all = new Connections(
    {
      infoHash,
      pieceCount,
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
  /** A connection that ends at once, if it is taken. */
  const comesAndGoes = (host: string, outgoing = false) => {
    const greeting = { address: { host, port: 1 }, outgoing, socket: { close() {} } };
    const peerId = Buffer.from('-XX0100-000000000001');
    const handshake = { infoHash, peerId, fast: true, extensions: true };
    const connection = all.take(greeting as Partial<Greeting> as Greeting, handshake);
    if (connection !== undefined) all.closed(connection, 'it went');
    return connection !== undefined;
  };
  return { all, peers, clock, dropped, isTaken, comesAndGoes };
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

test('a host that shows 100,000 pieces again and again is refused from the 101st time on, and taken once a second', () => {
  const { clock, comesAndGoes } = connections(100_000);
  const times = Array.from({ length: 105 }, () => comesAndGoes('192.0.2.1'));
  expect(times).toEqual([...Array<boolean>(100).fill(true), ...Array<boolean>(5).fill(false)]);
  expect(comesAndGoes('192.0.2.2')).toBe(true);
  // Whom we dial ourselves we dial no more often than we choose to.
  expect(comesAndGoes('192.0.2.1', true)).toBe(true);
  clock.time += 999;
  expect(comesAndGoes('192.0.2.1')).toBe(false);
  clock.time += 1;
  expect([comesAndGoes('192.0.2.1'), comesAndGoes('192.0.2.1')]).toEqual([true, false]);
});

test('who is refused for another reason has shown nothing', () => {
  const { comesAndGoes, isTaken } = connections(100_000);
  const own = '-EX0200-000000000000';
  for (let i = 0; i < 200; i++) expect(isTaken('192.0.2.1', own)).toBe(false);
  expect(comesAndGoes('192.0.2.1')).toBe(true);
});
