import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, expect, test } from '@jest/globals';
import { OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { startTracker } from '../../../tracker/tracker.ts';
import { machineAddresses, startUdpServer, type UdpServer } from '../../../tracker/udp/udp-server.ts';
import { announceQuery } from '../announce-query.ts';
import { type CollectedLog, collectedLog } from '../collected-log.ts';
import { openAnnouncer } from '../open-announcer.ts';
import { announceDatagram, connectDatagram } from '../udp-datagrams.ts';

const ends: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function start(host: string, port: number, addresses?: () => readonly string[]) {
  const logger: CollectedLog = collectedLog();
  const { announcer } = openAnnouncer(Math.random);
  const ignored = { answered: () => {}, scraped: () => {}, dropped: () => {} };
  const server: UdpServer = await startUdpServer(
    { announcer, logger, now: () => 0, ...ignored },
    host,
    port,
    addresses,
  );
  ends.push(() => server.close());
  return { server, logger };
}

/** A port that nobody has. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp6').bind(0, '::');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((closed) => socket.close(() => closed()));
  return port;
}

/** Which address answers a client that asks another one. */
async function answers(port: number, asked: string): Promise<string> {
  const socket = createSocket(asked.includes(':') ? 'udp6' : 'udp4');
  ends.push(() => void socket.close());
  // The fault shows where the client has an address that the asked one is not the system's choice for.
  socket.bind(0, asked.includes(':') ? undefined : '127.0.0.1');
  await once(socket, 'listening');
  socket.send(connectDatagram(), port, asked);
  const [, from] = (await once(socket, 'message')) as [Buffer, { address: string }];
  return from.address;
}

test.each(['0.0.0.0', '::', '0'])('on %s an answer comes from the address that was asked', async (host) => {
  const port = await freePort();
  await start(host, port, () => ['127.0.0.1', '127.0.0.2', '127.0.0.3']);
  for (const address of ['127.0.0.1', '127.0.0.2', '127.0.0.3'])
    expect(await answers(port, address)).toBe(address);
  // One that the machine is not known to have: better an answer from another address than none.
  expect(await answers(port, '127.0.0.9')).toBe('127.0.0.1');
});

test('the addresses of the machine are those of its interfaces', async () => {
  const port = await freePort();
  await start('::', port);
  const entries = Object.values(networkInterfaces()).flatMap((of = []) => of);
  const addresses = entries.filter(({ scopeid }) => !scopeid).map(({ address }) => address);
  expect(addresses).toContain('127.0.0.1');
  expect(machineAddresses()).toEqual(expect.arrayContaining(addresses));
  for (const address of addresses) expect(await answers(port, address)).toBe(address);
});

test('addresses come and go', async () => {
  const port = await freePort();
  let addresses = ['127.0.0.1'];
  const { server } = await start('::', port, () => addresses);
  expect(await answers(port, '127.0.0.2')).toBe('127.0.0.1');
  addresses = ['127.0.0.1', '127.0.0.2'];
  await server.scan();
  expect(await answers(port, '127.0.0.2')).toBe('127.0.0.2');
  addresses = ['127.0.0.1'];
  await server.scan();
  expect(await answers(port, '127.0.0.2')).toBe('127.0.0.1');
});

test('one address answers for itself alone', async () => {
  const port = await freePort();
  await start('127.0.0.2', port, () => ['127.0.0.1', '127.0.0.2']);
  expect(await answers(port, '127.0.0.2')).toBe('127.0.0.2');
  const other = createSocket('udp4').bind(port, '127.0.0.1');
  ends.push(() => void other.close());
  await once(other, 'listening');
  // And nobody else can take what is meant for it.
  const thief = createSocket({ type: 'udp4', reuseAddr: true }).bind(port, '127.0.0.2');
  ends.push(() => void thief.close());
  expect((await once(thief, 'error'))[0]).toMatchObject({ code: 'EADDRINUSE' });
});

test('an address that cannot be bound to is told once, and the others answer', async () => {
  const port = await freePort();
  // Nobody has that one (documentation).
  let addresses = ['192.0.2.77', '127.0.0.2'];
  const { server, logger } = await start('::', port, () => addresses);
  await server.scan();
  await server.scan();
  expect(await answers(port, '127.0.0.2')).toBe('127.0.0.2');
  expect(logger.lines.map(({ fields }) => fields)).toMatchObject([{ address: '192.0.2.77' }]);
  addresses = [];
  await server.scan();
  addresses = ['192.0.2.77'];
  await server.scan();
  expect(logger.lines).toHaveLength(2);
});

test.each(['::', '127.0.0.2'])(
  'a port that somebody has is an error on %s, and leaves nothing open',
  async (host) => {
    const port = await freePort();
    const other = createSocket('udp4').bind(port, '127.0.0.2');
    await once(other, 'listening');
    ends.push(() => void other.close());
    await expect(start(host, port, () => ['127.0.0.1', '127.0.0.2'])).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    const again = createSocket('udp4').bind(port, '127.0.0.1');
    ends.push(() => void again.close());
    await once(again, 'listening');
  },
);

test('only addresses of IPv4 are listened on where only those are meant', async () => {
  const port = await freePort();
  await start('0.0.0.0', port, () => ['127.0.0.1', '::1']);
  const other = createSocket('udp6').bind(port, '::1');
  ends.push(() => void other.close());
  await once(other, 'listening');
});

test('HTTP and UDP share their swarms', async () => {
  const tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    udp: true,
    logger: collectedLog(),
  });
  const socket = createSocket('udp4');
  try {
    await fetch(`http://127.0.0.1:${tracker.port}/announce?${announceQuery({ port: 1001 })}`);
    const ask = async (datagram: Buffer) => {
      socket.send(datagram, tracker.port, '127.0.0.1');
      return ((await once(socket, 'message')) as [Buffer])[0];
    };
    const id = (await ask(connectDatagram())).subarray(8);
    const answer = await ask(announceDatagram(id, { port: 1002 }));
    expect(answer.subarray(20).toString('hex')).toBe('7f00000103e9');
    const metrics = await (await fetch(`http://127.0.0.1:${tracker.port}/metrics`)).text();
    expect(metrics).toContain('enxame_tracker_announces_total{event="none",result="ok"} 2');
  } finally {
    socket.close();
    await tracker.close();
  }
});
