import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { askHolderOverHttp } from '../../../tracker/torrents/holder.ts';

const A = 'aa'.repeat(20);
const MAX_BYTES = 1000;
let server: Server | ReturnType<typeof createTcpServer> | undefined;

afterEach(() => {
  (server as Server).closeAllConnections?.();
  server?.close();
});

async function portOf(listening: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return (listening.address() as AddressInfo).port;
}

async function ask(answer: RequestListener, signal = new AbortController().signal): Promise<Buffer> {
  const port = await portOf(createServer(answer));
  return askHolderOverHttp(port, MAX_BYTES)('127.0.0.1', A, signal);
}

test('takes what the holder serves', async () => {
  let path: string | undefined;
  const bytes = await ask((request, response) => {
    path = request.url;
    response.end(Buffer.alloc(MAX_BYTES, 7));
  });
  expect(bytes).toEqual(Buffer.alloc(MAX_BYTES, 7));
  expect(path).toBe(`/torrents/${A}.torrent`);
});

test.each<[string, RequestListener, string]>([
  ['another status', (_, response) => response.writeHead(404).end('none'), 'HTTP status 404'],
  ['a redirect', (_, response) => response.writeHead(302, { location: '/x' }).end(), 'HTTP status 302'],
  ['one byte too much', (_, response) => response.end(Buffer.alloc(MAX_BYTES + 1)), 'larger than 1000'],
  [
    'something encoded',
    (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
    'encoded',
  ],
  [
    'an answer that breaks off',
    (_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('abc');
      setTimeout(() => response.destroy(), 20);
    },
    'did not give',
  ],
])('%s is refused', async (_, answer, why) => {
  await expect(ask(answer)).rejects.toMatchObject({
    code: 'HolderFailed',
    message: expect.stringContaining(why),
  });
});

test('an endless answer is cut off at the bound', async () => {
  const endless = ask((_, response) => {
    const more = () => {
      if (!response.destroyed) response.write(Buffer.alloc(500), () => setImmediate(more));
    };
    more();
  });
  await expect(endless).rejects.toThrow('larger than 1000');
});

test('no HTTP at all is refused', async () => {
  const port = await portOf(createTcpServer((socket) => socket.end('hello\r\n\r\n')));
  const asked = askHolderOverHttp(port)('127.0.0.1', A, new AbortController().signal);
  await expect(asked).rejects.toMatchObject({ code: 'HolderFailed' });
});

test('stops when it is told to', async () => {
  const controller = new AbortController();
  const asked = ask(() => controller.abort(), controller.signal);
  await expect(asked).rejects.toMatchObject({ code: 'HolderFailed' });
});
