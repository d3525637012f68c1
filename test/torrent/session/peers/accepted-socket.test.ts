import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ACCEPT_OPTIONS, takeReads } from '../../../../torrent/session/peers/accepted-socket.ts';

let server: Server;
let client: Socket;
let accepted: Socket;

beforeEach(async () => {
  server = createServer(ACCEPT_OPTIONS).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  [accepted] = (await once(server, 'connection')) as [Socket];
});

afterEach(async () => {
  client.destroy();
  server.close();
  await once(server, 'close');
});

/** Reads until so many bytes are there. */
function collect(bytes: number): { all: Promise<Buffer>; views: Buffer[]; received(chunk: Buffer): void } {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const views: Buffer[] = [];
  let copy = Buffer.alloc(0);
  return {
    all: promise,
    views,
    received(chunk) {
      views.push(chunk);
      copy = Buffer.concat([copy, chunk]);
      if (copy.length >= bytes) resolve(copy);
    },
  };
}

test('an accepted socket reads into the buffer that was given, and writes and ends as before', async () => {
  const buffer = Buffer.alloc(1000);
  const sent = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
  const reading = collect(sent.length);
  const peerPort = client.localPort;
  const socket = takeReads(accepted, buffer, reading.received);
  expect(socket.remotePort).toBe(peerPort);
  client.write(sent);
  expect(await reading.all).toEqual(sent);
  // This Node still has what is needed; if one day it has not, this says so.
  expect(reading.views.every((view) => view.buffer === buffer.buffer)).toBe(true);
  const answer = once(client, 'data');
  socket.write('hello');
  expect(String((await answer)[0])).toBe('hello');
  const ended = once(socket, 'close');
  client.end();
  socket.end();
  await ended;
});

test('a socket without the private handle is read all the same', async () => {
  const buffer = Buffer.alloc(1000);
  const reading = collect(5);
  // As a later Node may have it.
  const hidden = new Proxy(accepted, {
    get(target, key) {
      if (key === '_handle') return undefined;
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  takeReads(hidden, buffer, reading.received);
  client.write('hello');
  expect(String(await reading.all)).toBe('hello');
  expect(reading.views.every((view) => view.buffer !== buffer.buffer)).toBe(true);
  accepted.destroy();
});
