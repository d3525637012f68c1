import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { MAX_REPLY_BYTES } from '../../../torrent/discovery/announce-reply.ts';
import { percentEncode } from '../../../torrent/discovery/percent.ts';
import {
  type AnnounceRequest,
  announceUrl,
  HttpTrackerClient,
} from '../../../torrent/discovery/tracker-client.ts';
import { failureOf, rejectionOf } from '../failure.ts';
import { fuzzParameters } from '../fuzz.ts';

const REPLY = encodeBencode({ interval: 60, peers: Buffer.from([10, 0, 0, 1, 26, 225]) });

let server: Server;
let origin: string;
let requests: IncomingMessage[];
let handle: (request: IncomingMessage, response: ServerResponse) => void;
let agent: Agent;

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<[Server, string]> {
  const listening = createServer(answer);
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return [listening, `http://127.0.0.1:${(listening.address() as AddressInfo).port}`];
}

beforeEach(async () => {
  requests = [];
  handle = (_, response) => response.end(REPLY);
  [server, origin] = await listen((request, response) => {
    requests.push(request);
    handle(request, response);
  });
  agent = new Agent({ keepAlive: true });
});

afterEach(async () => {
  agent.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function request(more: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    url: `${origin}/announce`,
    infoHash: Buffer.from('00ff2b2520265c3d7e2d5f2e4161303a0a0d0980', 'hex'),
    peerId: Buffer.from('-EX0001-abcdefghijkl'),
    port: 6881,
    totals: { uploaded: 1, downloaded: 2, left: 3 },
    numwant: 50,
    key: 'k',
    ...more,
  };
}

const never = new AbortController().signal;
const announce = (more: Partial<AnnounceRequest> = {}, timeoutMilliseconds = 5000) =>
  new HttpTrackerClient({ agent, timeoutMilliseconds }).announce(request(more), never);

describe('the query', () => {
  test('carries bytes one by one, and all that a tracker needs', async () => {
    await announce({
      event: 'started',
      trackerId: Buffer.from([0xff, 0x41]),
      parameters: { node: 'a b&c=d' },
    });
    expect(requests[0]?.url).toBe(
      '/announce?info_hash=%00%FF%2B%25%20%26%5C%3D~-_.Aa0%3A%0A%0D%09%80&peer_id=-EX0001-abcdefghijkl&port=6881' +
        '&uploaded=1&downloaded=2&left=3&key=k&numwant=50&compact=1&no_peer_id=1&client=enxame&event=started&trackerid=%FFA&node=a%20b%26c%3Dd',
    );
  });

  test('keeps what the announce URL has', () => {
    expect(announceUrl(request({ url: 'http://t/a?passkey=1%2B2#x' })).href).toMatch(
      /^http:\/\/t\/a\?passkey=1%2B2&info_hash=/,
    );
    expect(announceUrl(request({ url: 'https://[::1]:1/x/announce' })).href).toMatch(
      /^https:\/\/\[::1\]:1\/x\/announce\?info_hash=/,
    );
  });

  test('is not made for other kinds of trackers, nor for what is no URL', () => {
    for (const url of ['udp://t:80', 'wss://t/', 'file:///etc/passwd', 'tracker', '']) {
      expect(failureOf(() => announceUrl(request({ url }))).code).toBe('TrackerUnreachable');
    }
  });

  test('can be decoded to the bytes that went in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = percentEncode(bytes);
        expect(text).toMatch(/^([A-Za-z0-9._~-]|%[0-9A-F]{2})*$/);
        const decoded = text.replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
        expect(Buffer.from(decoded, 'latin1')).toEqual(Buffer.from(bytes));
      }),
      fuzzParameters(300),
    );
  });
});

describe('an announce', () => {
  test('gives the reply', async () => {
    expect(await announce()).toMatchObject({
      kind: 'reply',
      peers: [{ host: '10.0.0.1', port: 6881 }],
      intervalSeconds: 60,
    });
    expect(requests[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('leaves from the address that it is told, behind redirects and over kept connections too', async () => {
    const from: (string | undefined)[] = [];
    handle = (asked, response) => {
      from.push(asked.socket.remoteAddress);
      if (asked.url?.startsWith('/announce')) response.writeHead(302, { location: '/there' }).end();
      else response.end(REPLY);
    };
    const url = `${origin.replace('127.0.0.1', 'localhost')}/announce`;
    await announce({ localAddress: '127.0.0.2' });
    await announce({ localAddress: '127.0.0.3', url });
    await announce();
    expect(from).toEqual(['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.3', '127.0.0.1', '127.0.0.1']);
  });

  test('cannot leave from an address that is not ours, or of another family', async () => {
    for (const localAddress of ['192.0.2.1', '::1']) {
      const failure = await rejectionOf(announce({ localAddress }));
      expect(failure.code).toBe('TrackerUnreachable');
      expect(failure.message).toContain(`gives no answer to ${localAddress}: `);
    }
  });

  test('sends the headers it is given', async () => {
    await announce({ headers: { authorization: 'Bearer x' } });
    expect(requests[0]?.headers.authorization).toBe('Bearer x');
  });

  test('reads a compressed reply all the same', async () => {
    handle = (_, response) => response.setHeader('content-encoding', 'gzip').end(gzipSync(REPLY));
    expect((await announce()).kind).toBe('reply');
  });

  test('gives a refusal, whatever its status', async () => {
    handle = (_, response) => response.writeHead(403).end(encodeBencode({ 'failure reason': 'not yours' }));
    expect(await announce()).toEqual({ kind: 'refusal', reason: 'not yours', retryInSeconds: undefined });
  });

  test('takes Retry-After for a refusal', async () => {
    handle = (_, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy');
    expect(await announce()).toMatchObject({ kind: 'refusal', retryInSeconds: 7 });
  });

  test('follows a redirect, without its headers to another origin', async () => {
    const [other, otherOrigin] = await listen((received, response) => {
      requests.push(received);
      response.end(REPLY);
    });
    handle = (received, response) =>
      response.writeHead(302, { location: `${otherOrigin}${received.url}` }).end();
    try {
      expect((await announce({ headers: { authorization: 'Bearer x' } })).kind).toBe('reply');
      expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer x', undefined]);
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });
});

describe('an announce ends with an error', () => {
  test('when a tracker redirects in a loop', async () => {
    handle = (_, response) => response.writeHead(301, { location: '/again' }).end();
    expect((await rejectionOf(announce())).message).toContain('redirects more than 3 times');
    expect(requests).toHaveLength(4);
  });

  test.each([
    ['file:///etc/passwd', 'no HTTP'],
    ['http://', 'not a URL'],
    ['udp://t:80/announce', 'no HTTP'],
  ])('when a tracker redirects to %s', async (location, message) => {
    handle = (_, response) => response.writeHead(302, { location }).end();
    const error = await rejectionOf(announce());
    expect([error.code, error.message]).toEqual(['InvalidTrackerReply', expect.stringContaining(message)]);
  });

  test('when the reply is not bencoded', async () => {
    handle = (_, response) => response.end('<html>welcome</html>');
    expect((await rejectionOf(announce())).code).toBe('InvalidTrackerReply');
  });

  test('when the reply is over 1 MiB, declared or not', async () => {
    handle = (_, response) => response.end(Buffer.alloc(MAX_REPLY_BYTES + 1));
    expect((await rejectionOf(announce())).message).toContain('more than 1048576 bytes');
  });

  test('when the body never ends, after 1 MiB of it', async () => {
    let sent = 0;
    handle = (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024))) sent += 64 * 1024;
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    expect((await rejectionOf(announce())).code).toBe('InvalidTrackerReply');
    // What lay in buffers, and no more.
    expect(sent).toBeLessThan(16 * MAX_REPLY_BYTES);
  });

  test('when the reply decompresses to more than 1 MiB', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * MAX_REPLY_BYTES));
    expect(bomb.length).toBeLessThan(MAX_REPLY_BYTES);
    handle = (_, response) => response.setHeader('content-encoding', 'gzip').end(bomb);
    expect((await rejectionOf(announce())).message).toContain('broken or too long');
  });

  test('when the compression is broken or unknown', async () => {
    handle = (_, response) => response.setHeader('content-encoding', 'gzip').end('no gzip');
    expect((await rejectionOf(announce())).code).toBe('InvalidTrackerReply');
    handle = (_, response) => response.setHeader('content-encoding', 'constructor').end(REPLY);
    expect((await rejectionOf(announce())).message).toContain('unknown compression');
  });

  test('when no answer comes in time, or it stops in the middle', async () => {
    handle = () => undefined;
    expect((await rejectionOf(announce({}, 100))).code).toBe('TrackerUnreachable');
    handle = (_, response) => void response.write('d8:');
    expect((await rejectionOf(announce({}, 100))).code).toBe('TrackerUnreachable');
  });

  test('when the connection breaks or is refused', async () => {
    handle = (received) => received.socket.destroy();
    expect((await rejectionOf(announce())).code).toBe('TrackerUnreachable');
    expect((await rejectionOf(announce({ url: 'http://127.0.0.1:1/announce' }))).code).toBe(
      'TrackerUnreachable',
    );
    expect((await rejectionOf(announce({ url: 'http://nowhere.invalid/announce' }))).code).toBe(
      'TrackerUnreachable',
    );
  });

  test('but not when a kept connection is closed as the next announce comes', async () => {
    await announce();
    await new Promise(setImmediate); // The connection is kept from here on.
    handle = (received) => {
      handle = (_, response) => response.end(REPLY);
      received.socket.resetAndDestroy();
    };
    expect((await announce()).kind).toBe('reply');
    expect(requests[1]?.socket).toBe(requests[0]?.socket);
    expect(requests).toHaveLength(3);
  });

  test('when a tracker answers with an error page', async () => {
    handle = (_, response) => response.writeHead(500).end('<html>oops</html>');
    const error = await rejectionOf(announce({ url: `${origin}/announce?passkey=secret` }));
    expect([error.code, error.message]).toEqual(['TrackerUnreachable', expect.stringContaining('HTTP 500')]);
    expect(error.message).not.toContain('secret');
  });

  test('when it is given up', async () => {
    handle = () => undefined;
    const controller = new AbortController();
    const announcing = new HttpTrackerClient({ agent }).announce(request(), controller.signal);
    controller.abort();
    expect((await rejectionOf(announcing)).code).toBe('TrackerUnreachable');
  });
});
