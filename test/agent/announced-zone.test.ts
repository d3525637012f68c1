// What an agent states of its node when it announces.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { until } from '../base/until.ts';
import { World } from './world.ts';

/** A tracker that knows nobody and remembers what it was asked. */
const asked: URLSearchParams[] = [];
const tracker = createServer(({ url = '' }, response) => {
  if (url.startsWith('/announce')) asked.push(new URL(url, 'http://tracker').searchParams);
  response.end('d8:intervali60e5:peers0:e');
});

let world: World;
afterEach(async () => {
  await world.close();
  tracker.closeAllConnections();
  tracker.close();
  await once(tracker, 'close');
});

test('an agent announces its node, and the zone that the node is labelled with', async () => {
  tracker.listen(0, '127.0.0.1');
  await once(tracker, 'listening');
  world = await World.open([]);
  world.trackerAddress = `127.0.0.1:${(tracker.address() as AddressInfo).port}`;
  const { cluster } = await world.start('a');
  cluster.labels = { 'topology.kubernetes.io/zone': 'east-1' };
  await world.distribute('a', [{ path: 'file', bytes: randomBytes(100_000) }]);
  await until('it announces', () => asked.length > 0);
  expect([asked[0]?.get('node'), asked[0]?.get('zone')]).toEqual(['a', 'east-1']);
});
