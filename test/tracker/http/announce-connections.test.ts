import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Answer } from '../../../tracker/announce/announcer.ts';
import { AnnounceConnections } from '../../../tracker/http/announce-connections.ts';
import { ConnectionsOfHosts } from '../../../tracker/http/connections-of-hosts.ts';
import { MutableTorrentList, OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker, type TrackerSettings } from '../../../tracker/tracker.ts';
import { until } from '../../base/until.ts';
import { announceQuery } from '../announce-query.ts';
import { collectedLog } from '../collected-log.ts';

let tracker: RunningTracker | undefined;

async function start(settings: Partial<TrackerSettings> = {}): Promise<void> {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
    ...settings,
  });
}

afterEach(() => tracker?.close());

const port = () => tracker?.port ?? 0;

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const ANNOUNCE = get(`/announce?${announceQuery()}`);
const LAST = get('/healthz', 'Connection: close\r\n');

/** What a connection gives until the tracker closes it, to parts that are sent one behind the other. */
function talk(parts: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  const socket = connect(port(), '127.0.0.1', async () => {
    for (const part of parts)
      await new Promise((sent) => socket.write(part, 'latin1', () => setImmediate(sent)));
  });
  socket.setNoDelay(true);
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', reject).on('close', () => resolve(text));
  return promise;
}

/** `A` for each answer to an announce and `H` for each one of /healthz, in their order. */
const order = (text: string) =>
  [...text.matchAll(/8:interval|"status":"ok"/g)]
    .map(([found]) => (found === '8:interval' ? 'A' : 'H'))
    .join('');

test.each([
  ['one', [ANNOUNCE, LAST], 'AH'],
  ['many in one piece', [ANNOUNCE.repeat(5) + LAST], 'AAAAAH'],
  ['a cut announce', [ANNOUNCE.slice(0, 40), ANNOUNCE.slice(40), LAST], 'AH'],
  ['a whole one and a cut one', [ANNOUNCE + ANNOUNCE.slice(0, 40), ANNOUNCE.slice(40) + LAST], 'AAH'],
  ['something else between', [ANNOUNCE + get('/healthz') + ANNOUNCE + LAST], 'AHAH'],
  ['one that closes its connection', [get(`/announce?${announceQuery()}`, 'Connection: close\r\n')], 'A'],
  [
    'what follows one that closes',
    [get(`/announce?${announceQuery()}`, 'connection:close\r\n') + ANNOUNCE],
    'A',
  ],
  [
    'one that says both, which is for the HTTP server to judge',
    [get(`/announce?${announceQuery()}`, 'connection: keep-alive\r\nconnection: close\r\n') + LAST],
    'A',
  ],
  [
    'one that keeps it open',
    [get(`/announce?${announceQuery()}`, 'connection: keep-alive\r\n') + LAST],
    'AH',
  ],
])('announces on a connection: %s', async (_, parts, expected) => {
  await start();
  expect(order(await talk(parts))).toBe(expected);
});

test.each(['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'content-length : 5\r\n'])(
  'what has a body is no plain announce: %p',
  async (header) => {
    await start();
    const bytes = get(`/announce?${announceQuery()}`, header);
    // What follows is a body, or nothing at all: never another request.
    expect(order(await talk([`${bytes}${LAST}`]).catch(() => ''))).not.toContain('H');
  },
);

test('announces behind one that waits are answered after it', async () => {
  const torrents = new MutableTorrentList();
  await start({ torrents, arrivalWaitMilliseconds: 60_000 });
  const answers = talk([ANNOUNCE.repeat(3) + LAST]);
  torrents.isSynced = true;
  torrents.add('test', { infoHashHex: 'aa'.repeat(20) });
  expect(order(await answers)).toBe('AAAH');
});

test('one that waits when the tracker ends is answered first', async () => {
  await start({ torrents: new MutableTorrentList(), arrivalWaitMilliseconds: 60_000 });
  const answers = talk([ANNOUNCE]);
  await new Promise<void>((resolve) => {
    const other = connect(port(), '127.0.0.1', () => other.write(get('/healthz')));
    other.once('data', () => resolve(void other.destroy()));
  });
  await tracker?.close();
  expect(await answers).toContain('14:failure reason');
});

describe('connections whose peers do not read', () => {
  const LONG: Answer = { body: 'x'.repeat(1_000_000), outcome: 'ok' };
  const servers: Server[] = [];
  const clients: Socket[] = [];
  let connections: AnnounceConnections;

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  /** A client that asks for many long answers and reads none; `ended` resolves when its connection has ended here. */
  async function mute(writeMilliseconds: number, requests: string): Promise<{ ended: Promise<unknown> }> {
    connections = new AnnounceConnections({
      answer: () => LONG,
      handOver: (socket) => socket.destroy(),
      keepAliveMilliseconds: 60_000,
      writeMilliseconds,
      withTokens: false,
      failed: () => undefined,
    });
    const server = createServer();
    servers.push(server);
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1', () => client.write(requests));
    client.on('error', () => undefined);
    clients.push(client);
    const [socket] = await accepted;
    connections.take(socket);
    const ended = new Promise((resolve) => socket.once('close', resolve));
    await until('what it does not read waits', () => socket.writableLength > 0 || socket.destroyed);
    return { ended };
  }

  test('are ended when their time is over', async () => {
    const { ended } = await mute(50, ANNOUNCE.repeat(20));
    await ended;
  });

  test('do not hold up the end of the tracker', async () => {
    const { ended } = await mute(3_600_000, ANNOUNCE.repeat(20));
    connections.close();
    await ended;
  });

  test('are ended after the last answer too', async () => {
    const last = get(`/announce?${announceQuery()}`, 'Connection: close\r\n');
    await (await mute(3_600_000, ANNOUNCE.repeat(19) + last)).ended;
  });
});

test('connections of one host are bounded, and others have theirs', () => {
  const hosts = new ConnectionsOfHosts(2);
  const open = (remoteAddress: string) => {
    const socket = Object.assign(new Socket(), {});
    Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress });
    return { socket, isTaken: hosts.takes(socket) };
  };
  const first = open('::ffff:192.0.2.1');
  expect(
    [first, open('192.0.2.1'), open('192.0.2.1'), open('192.0.2.2')].map(({ isTaken }) => isTaken),
  ).toEqual([true, true, false, true]);
  expect(['1', '2', '3'].map((end) => open(`2001:db8::${end}`).isTaken)).toEqual([true, true, false]);
  first.socket.emit('close');
  expect([open('192.0.2.1').isTaken, open('192.0.2.1').isTaken]).toEqual([true, false]);
});
