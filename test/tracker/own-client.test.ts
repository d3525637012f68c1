// The tracker and the engine's own tracker client, over loopback: what one writes the other reads.
import { afterEach, expect, test } from '@jest/globals';
import type { AnnounceReply } from '../../torrent/discovery/announce-reply.ts';
import type { Discovery, PeerAddress } from '../../torrent/discovery/discovery.ts';
import { HttpTrackerClient } from '../../torrent/discovery/tracker-client.ts';
import { trackerDiscovery } from '../../torrent/discovery/tracker-discovery.ts';
import { UdpTrackerClient } from '../../torrent/discovery/udp-tracker-client.ts';
import { MutableTorrentList, OPEN_LIST } from '../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../tracker/tracker.ts';
import { until } from '../base/until.ts';
import { collectedLog } from './collected-log.ts';

const INFO_HASH = Buffer.from('00ff25262b3d20e28099c3a90d0a7f80fe41422e', 'hex');

let tracker: RunningTracker | undefined;
const discoveries: Discovery[] = [];

afterEach(async () => {
  await Promise.all(discoveries.splice(0).map((discovery) => discovery.stop()));
  await tracker?.close();
});

/** A client at a port of its own that lacks so many bytes, and the ports it was told. */
function client(port: number, left: number, trackerPort: number): { told: Set<number> } {
  const told = new Set<number>();
  const discovery = trackerDiscovery({
    tiers: [[`http://127.0.0.1:${trackerPort}/announce`]],
    ownTrackers: true,
    parameters: { node: `node-${port}` },
  });
  const peerId = Buffer.alloc(20, port & 0xff);
  discovery.start(
    { infoHash: INFO_HASH, peerId, port, progress: () => ({ uploaded: 0, downloaded: 0, left }) },
    (addresses: PeerAddress[]) => {
      for (const address of addresses) told.add(address.port);
    },
  );
  discoveries.push(discovery);
  return { told };
}

async function swarm(port: number): Promise<{ peers: number; slowest: { node: string }[] }> {
  const response = await fetch(`http://127.0.0.1:${port}/swarms/${INFO_HASH.toString('hex')}`);
  return (await response.json()) as { peers: number; slowest: { node: string }[] };
}

test('clients find each other, whatever bytes are in the info hash, and are gone once they stop', async () => {
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  torrents.add('test', { infoHashHex: INFO_HASH.toString('hex') });
  tracker = await startTracker({ torrents, listen: { host: '127.0.0.1', port: 0 }, logger: collectedLog() });
  const { port } = tracker;
  client(7001, 0, port);
  await until('the peer is in the swarm', async () => (await swarm(port)).peers === 1);
  const leecher = client(7002, 10, port);
  await until('the leecher hears of the peer', () => leecher.told.has(7001));
  expect(leecher.told).toEqual(new Set([7001]));
  expect((await swarm(port)).slowest).toEqual([{ node: 'node-7002', bytesLeft: 10 }]);
  await Promise.all(discoveries.splice(0).map((discovery) => discovery.stop()));
  expect((await swarm(port)).peers).toBe(0);
});

test('a client whose torrent the tracker learns of a moment later is not sent away', async () => {
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  tracker = await startTracker({
    torrents,
    listen: { host: '127.0.0.1', port: 0 },
    arrivalWaitMilliseconds: 10_000,
    logger: collectedLog(),
  });
  const { port } = tracker;
  client(7001, 0, port);
  const leecher = client(7002, 10, port);
  setTimeout(() => torrents.add('test', { infoHashHex: INFO_HASH.toString('hex') }), 100);
  await until('the leecher hears of the peer', () => leecher.told.has(7001));
  expect((await swarm(port)).peers).toBe(2);
});

test.each([
  ['http', '/announce'],
  ['udp', '/announce'],
  ['udp', ''],
])('a leecher over %s://…%s is told to come back within seconds', async (protocol, path) => {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    udp: true,
    logger: collectedLog(),
  });
  const request = {
    url: `${protocol}://127.0.0.1:${tracker.port}${path}`,
    infoHash: INFO_HASH,
    peerId: Buffer.alloc(20, 1),
    port: 7001,
    totals: { uploaded: 0, downloaded: 0, left: 10 },
    numwant: 50,
    key: '0badcafe',
  };
  const ourClient = protocol === 'udp' ? new UdpTrackerClient() : new HttpTrackerClient();
  const reply = (await ourClient.announce(request, new AbortController().signal)) as AnnounceReply;
  expect(reply).toMatchObject({ kind: 'reply', leechers: 1 });
  expect(reply.intervalSeconds).toBeLessThanOrEqual(11);
});
