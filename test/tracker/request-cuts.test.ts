// One request has one answer, however it was cut on its way. Announces that come whole are answered on their sockets,
// all others by Node's HTTP server: what the one takes the other must take alike. Behind an empty line, which HTTP
// servers pass over (RFC 9112), a connection is the HTTP server's from the start: that is how the two are compared.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OPEN_RIGHTS } from '../../tracker/rights/rights.ts';
import { OPEN_LIST } from '../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../tracker/tracker.ts';
import { announceQuery } from './announce-query.ts';
import { collectedLog } from './collected-log.ts';
import { exchange } from './raw-http.ts';

/** A connection that says nothing for so long is not going to; nearly all are closed before. */
const QUIET_MILLISECONDS = 500;

let tracker: RunningTracker;

beforeAll(async () => {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    judgeToken: async (token) => (token === 'good' ? { node: undefined } : undefined),
    rights: OPEN_RIGHTS,
    logger: collectedLog(),
    random: () => 0.5,
  });
});

afterAll(() => tracker.close());

/** Statuses and bodies of the answers, in their order; counts and peers aside, which changed ports and hashes change. */
async function answers(parts: readonly Buffer[]): Promise<string[]> {
  const said = await exchange(tracker.port, parts, QUIET_MILLISECONDS);
  return said.split(/(?=HTTP\/1\.[01] \d{3} )/).map((answer) => {
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1];
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
    return `${status} ${body.replace(/^d8:complete.*8:intervali(\d+)e.*e$/s, (_, interval) => `announced, again in ${interval} s`)}`;
  });
}

/** The bytes in parts, cut at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % bytes.length))].filter((place) => place > 0);
  ends.sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
}

const QUERY = announceQuery();
const LAST = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
const get = (target: string, headers = 'Host: x\r\n') => `GET ${target} HTTP/1.1\r\n${headers}\r\n`;
const withHeader = (header: string) => get(`/announce?${QUERY}`, `Host: x\r\n${header}\r\n`);

const ODD_REQUESTS: Readonly<Record<string, string>> = {
  'a plain one': get(`/announce?${QUERY}`),
  'one with a key': get(`/announce/0123456789abcdef?${QUERY}`),
  'a long key': get(`/announce/${'k'.repeat(101)}?${QUERY}`),
  'a longest key': get(`/announce/${'k'.repeat(100)}?${QUERY}`),
  'an escaped key': get(`/announce/%6bey?${QUERY}`),
  'a key that is escaped badly': get(`/announce/%zz?${QUERY}`),
  'a key of dots': get(`/announce/..?${QUERY}`),
  'an empty key': get(`/announce/?${QUERY}`),
  'no query': get('/announce'),
  'another path': get(`/announcement?${QUERY}`),
  'a slash too many': get(`/announce//?${QUERY}`),
  'a matrix parameter': get(`/announce;x=1?${QUERY}`),
  'bytes above 0x7f': get(`/announce?${QUERY}&x=\xff\xfe`),
  'bytes above 0x7f in the path': get(`/announce/\xe9?${QUERY}`),
  'UTF-8': get(`/announce?${QUERY}&x=\xc3\xa9`),
  'a control character': get(`/announce?${QUERY}&x=\x01`),
  'a DEL': get(`/announce?${QUERY}&x=\x7f`),
  'a tab in the query': get(`/announce?${QUERY}&x=\t`),
  'a NUL': get(`/announce?${QUERY}&x=\0`),
  'a space in the query': get(`/announce?${QUERY}&x= y`),
  'a quote and brackets': get(`/announce?${QUERY}&x="<>{}|\\^\`[]`),
  'a fragment': get(`/announce?${QUERY}#x`),
  'a fragment before the query': get(`/announce#x?${QUERY}`),
  'an absolute target': get(`http://x/announce?${QUERY}`),
  'no host': get(`/announce?${QUERY}`, ''),
  'no host, but others': get(`/announce?${QUERY}`, 'User-Agent: x\r\n'),
  'an empty host': get(`/announce?${QUERY}`, 'Host:\r\n'),
  'two hosts': get(`/announce?${QUERY}`, 'Host: x\r\nhost: y\r\n'),
  'a query beyond what is looked at': get(`/announce?${QUERY}&x=${'a'.repeat(9_000)}`),
  'a query beyond the bound of heads': get(`/announce?${QUERY}&x=${'a'.repeat(20_000)}`),
  'a head at the bound': get(`/announce?${QUERY}`, `Host: x\r\nX: ${'a'.repeat(16_384 - 200)}\r\n`),
  'a head beyond the bound': get(`/announce?${QUERY}`, `Host: x\r\nX: ${'a'.repeat(16_384)}\r\n`),
  'thousands of headers, the host last': get(`/announce?${QUERY}`, `${'a:\r\n'.repeat(2_500)}Host: x\r\n`),
  'HTTP/1.0': `GET /announce?${QUERY} HTTP/1.0\r\n\r\n`,
  'HTTP/1.0, kept open': `GET /announce?${QUERY} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`,
  'HTTP/1.2': `GET /announce?${QUERY} HTTP/1.2\r\nHost: x\r\n\r\n`,
  'HTTP/0.9': `GET /announce?${QUERY}\r\n\r\n`,
  'HTTP in lower case': `GET /announce?${QUERY} http/1.1\r\nHost: x\r\n\r\n`,
  'a method in lower case': `get /announce?${QUERY} HTTP/1.1\r\nHost: x\r\n\r\n`,
  HEAD: `HEAD /announce?${QUERY} HTTP/1.1\r\nHost: x\r\n\r\n`,
  POST: `POST /announce?${QUERY} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'two spaces': `GET  /announce?${QUERY} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a space at the end of the line': `GET /announce?${QUERY} HTTP/1.1 \r\nHost: x\r\n\r\n`,
  'a line end before it': `\r\n${get(`/announce?${QUERY}`)}`,
  'lone LF': `GET /announce?${QUERY} HTTP/1.1\nHost: x\n\n`,
  'lone LF behind the line': `GET /announce?${QUERY} HTTP/1.1\nHost: x\r\n\r\n`,
  'lone LF between headers': withHeader('A: b\nC: d'),
  'lone LF at the end': `GET /announce?${QUERY} HTTP/1.1\r\nHost: x\r\n\n`,
  'lone CR in a header': withHeader('A: b\rC: d'),
  'lone CR at the end': `GET /announce?${QUERY} HTTP/1.1\r\nHost: x\r\r\n`,
  'a fold': withHeader('A: b\r\n c'),
  'a fold with a tab': withHeader('A: b\r\n\tc'),
  'a fold of the first header': get(`/announce?${QUERY}`, ' Host: x\r\n'),
  'a space before the colon': withHeader('A : b'),
  'no colon': withHeader('A'),
  'no name': withHeader(': b'),
  'a name of odd signs': withHeader('(a): b'),
  'a name above 0x7f': withHeader('\xe9: b'),
  'a value above 0x7f': withHeader('A: \xe9'),
  'a value with a control character': withHeader('A: \x01'),
  'a value with a NUL': withHeader('A: \0'),
  'a value with a tab': withHeader('A:\tb\tc\t'),
  'Content-Length: 0': withHeader('Content-Length: 0'),
  'Content-Length twice': withHeader('Content-Length: 0\r\nContent-Length: 0'),
  'Content-Length twice, of two minds': withHeader('Content-Length: 0\r\nContent-Length: 5'),
  'Content-Length of no number': withHeader('Content-Length: x'),
  'a space before the colon of Content-Length': withHeader('Content-Length : 0'),
  'a fold that hides Content-Length': withHeader('A: b\r\n Content-Length: 5'),
  'Transfer-Encoding': `${withHeader('Transfer-Encoding: chunked')}0\r\n\r\n`,
  'Transfer-Encoding and Content-Length': `${withHeader('Transfer-Encoding: chunked\r\nContent-Length: 5')}0\r\n\r\n`,
  Expect: withHeader('Expect: 100-continue'),
  'Expect of something else': withHeader('Expect: x'),
  Upgrade: withHeader('Connection: Upgrade\r\nUpgrade: websocket'),
  'Connection: close': withHeader('Connection: close'),
  'Connection: keep-alive': withHeader('Connection: keep-alive'),
  'Connection: Keep-Alive, and spaces': withHeader('connection:  Keep-Alive  '),
  'Connection twice': withHeader('Connection: keep-alive\r\nConnection: close'),
  'Connection of two': withHeader('Connection: keep-alive, close'),
  'Proxy-Connection': withHeader('Proxy-Connection: close'),
  'a good token': withHeader('Authorization: Bearer good'),
  'a bad token': withHeader('Authorization: Bearer bad'),
  'two tokens': withHeader('Authorization: Bearer bad\r\nAuthorization: Bearer good'),
  'two tokens, the first of another kind': withHeader('Authorization: Basic x\r\nAuthorization: Bearer good'),
  'a token behind a tab': withHeader('Authorization:\tBearer good'),
  'a token before a tab': withHeader('Authorization: Bearer good\t'),
  'a token in a fold': withHeader('Authorization: Bearer\r\n good'),
  'a proof of a replica': withHeader('X-Enxame-Forwarded: x'),
};

/** What Node's server says alone. */
const byHttpServer = (bytes: Buffer) => answers([Buffer.concat([Buffer.from('\r\n'), bytes])]);

test.each(Object.entries(ODD_REQUESTS))('%s', async (_, request) => {
  for (const rest of [LAST, `${get(`/announce?${QUERY}`)}${LAST}`, 'rubbish\r\n\r\n']) {
    const bytes = Buffer.from(request + rest, 'latin1');
    const expected = await byHttpServer(bytes);
    expect(await answers([bytes])).toEqual(expected);
    expect(await answers(cut(bytes, [1]))).toEqual(expected);
    expect(await answers(cut(bytes, [request.length - 1]))).toEqual(expected);
    expect(await answers(cut(bytes, [request.length]))).toEqual(expected);
    // Behind one that is answered on its socket.
    const [first, ...others] = await answers([Buffer.from(get(`/announce?${QUERY}`)), bytes]);
    expect(first).toBe('200 announced, again in 315 s');
    expect(others).toEqual(expected);
  }
});

test('whatever requests follow each other, and wherever they are cut', async () => {
  const request = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(get(`/announce?${QUERY}`), withHeader('User-Agent: x')) },
    { weight: 3, arbitrary: fc.constantFrom(...Object.values(ODD_REQUESTS)) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.nat(1000), fc.nat(255), fc.constantFrom('flip', 'insert', 'remove'))
        .map(([place, byte, change]) => {
          const plain = withHeader('Connection: keep-alive');
          const at = place % plain.length;
          const more = change === 'remove' ? '' : String.fromCharCode(byte);
          return plain.slice(0, at) + more + plain.slice(change === 'insert' ? at : at + 1);
        }),
    },
  );
  const requests = fc.array(request, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(requests, fc.array(fc.nat(5_000), { maxLength: 6 }), async (sent, places) => {
      const bytes = Buffer.from(sent.join('') + LAST, 'latin1');
      const expected = await byHttpServer(bytes);
      expect(await answers([bytes])).toEqual(expected);
      expect(await answers(cut(bytes, places))).toEqual(expected);
    }),
    { numRuns: 150 },
  );
});
