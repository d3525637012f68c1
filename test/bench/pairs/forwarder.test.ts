import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Forwarder, forward } from '../../../bench/pairs/forwarder.ts';

const HANDSHAKE = Buffer.concat([Buffer.from('\x13BitTorrent protocol', 'latin1'), Buffer.alloc(48, 1)]);
/** A keep-alive, a bitfield with an unchoke's bytes inside, and a choke. */
const BEFORE = Buffer.from([0, 0, 0, 0, 0, 0, 0, 6, 5, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0]);
const UNCHOKE = Buffer.from([0, 0, 0, 1, 1]);

let close: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of close) await end();
  close = [];
});

/** A dialler and a target that are connected through a forwarder. */
async function connected(seed: 'dialler' | 'target', delayMilliseconds = 0) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const forwarder: Forwarder = await forward({ host: '127.0.0.1', port, seed, delayMilliseconds });
  close.push(
    () => forwarder.close(),
    () => new Promise((resolve) => server.close(resolve)),
  );
  const dialler = connect({ host: '127.0.0.1', port: forwarder.port });
  const [target] = (await once(server, 'connection')) as [Socket];
  return { forwarder, dialler, target };
}

describe('the forwarder of the benches', () => {
  test.each(['dialler', 'target'] as const)('sees the unchoke of the seed, the %s, alone', async (seed) => {
    for (const opening of [Buffer.alloc(0), Buffer.alloc(700, 7)]) {
      const ends = await connected(seed);
      const leecher = seed === 'dialler' ? ends.target : ends.dialler;
      const all = Buffer.concat([opening, HANDSHAKE, BEFORE, UNCHOKE]);
      leecher.write(all);
      await once(ends[seed], 'data');
      for (const byte of all.subarray(0, -1)) ends[seed].write(Buffer.from([byte]));
      let came = 0;
      while (came < all.length - 1) came += ((await once(leecher, 'data'))[0] as Buffer).length;
      expect(ends.forwarder.unchokedAt).toBeUndefined();
      ends[seed].write(all.subarray(-1));
      await once(leecher, 'data');
      expect(ends.forwarder.unchokedAt).toBeLessThanOrEqual(performance.now());
    }
  });

  test('keeps the order of what it delays, and passes the end on', async () => {
    const { dialler, target } = await connected('target', 20);
    const got = buffer(target);
    for (let byte = 0; byte < 100; byte++) dialler.write(Buffer.from([byte]));
    dialler.end();
    expect([...(await got)]).toEqual([...Array(100).keys()]);
  });
});
