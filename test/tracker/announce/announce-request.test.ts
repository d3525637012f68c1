import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseAnnounce } from '../../../tracker/announce/announce-request.ts';
import { TrackerError } from '../../../tracker/errors.ts';
import { announceQuery, escapeBytes, hashOf } from '../announce-query.ts';

function codeOf(query: string): string {
  try {
    parseAnnounce(query);
    return 'no error';
  } catch (error) {
    if (!(error instanceof TrackerError)) throw error;
    return error.code;
  }
}

test('reads a whole announce', () => {
  const query = announceQuery({
    uploaded: 1,
    downloaded: 2,
    left: 3,
    event: 'started',
    numwant: 7,
    no_peer_id: 1,
    node: 'gpu-17.example',
    zone: 'eu-west_1.a',
    key: 'abcd',
    client: 'enxame',
    trackerid: 'x',
  });
  expect(parseAnnounce(query)).toEqual({
    infoHashHex: 'aa'.repeat(20),
    peerId: Buffer.from('-XX0001-abcdefghijkl'),
    port: 6881,
    uploadedBytes: 1,
    downloadedBytes: 2,
    leftBytes: 3,
    event: 'started',
    wantedPeers: 7,
    compact: true,
    omitPeerIds: true,
    key: 0xce3479bd,
    node: 'gpu-17.example',
    zone: 'eu-west_1.a',
    isOwn: true,
  });
});

test('has defaults for what BEP 3 leaves out', () => {
  const request = parseAnnounce(
    announceQuery({ uploaded: undefined, downloaded: undefined, compact: undefined }),
  );
  expect(request).toMatchObject({
    uploadedBytes: 0,
    downloadedBytes: 0,
    event: 'none',
    wantedPeers: 50,
    compact: true,
    omitPeerIds: false,
    node: undefined,
    isOwn: false,
  });
});

describe('info_hash and peer_id', () => {
  test('any 20 bytes survive, escaped in either case', () => {
    const hash = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(hash, hash, fc.boolean(), (infoHash, peerId, upper) => {
        const written = (bytes: Uint8Array) =>
          upper ? escapeBytes(bytes).toUpperCase() : escapeBytes(bytes);
        const request = parseAnnounce(
          announceQuery({ info_hash: written(infoHash), peer_id: written(peerId) }),
        );
        expect(request.infoHashHex).toBe(Buffer.from(infoHash).toString('hex'));
        expect(request.peerId).toEqual(Buffer.from(peerId));
      }),
    );
  });

  test('+ is a plus, as clients mean it', () => {
    const request = parseAnnounce(announceQuery({ info_hash: '+'.repeat(20) }));
    expect(request.infoHashHex).toBe('2b'.repeat(20));
  });

  test('bytes that form no UTF-8 are read as they are', () => {
    expect(parseAnnounce(announceQuery({ info_hash: '%ff'.repeat(20) })).infoHashHex).toBe('ff'.repeat(20));
    expect(parseAnnounce(announceQuery({ info_hash: '\xff'.repeat(20) })).infoHashHex).toBe('ff'.repeat(20));
  });

  test.each([
    ['19 bytes', escapeBytes(Buffer.alloc(19)), 'BadParameter'],
    ['21 bytes', escapeBytes(Buffer.alloc(21)), 'BadParameter'],
    ['40 hex digits', 'aa'.repeat(20), 'BadParameter'],
    ['nothing', '', 'BadParameter'],
    ['a cut escape', `${escapeBytes(Buffer.alloc(19))}%4`, 'BadParameter'],
    ['rubbish after %', `${escapeBytes(Buffer.alloc(19))}%zz`, 'BadParameter'],
    ['none at all', undefined, 'MissingParameter'],
  ])('%s is refused', (_, value, code) => {
    expect(codeOf(announceQuery({ info_hash: value }))).toBe(code);
    expect(codeOf(announceQuery({ peer_id: value }))).toBe(code);
  });
});

describe('bad numbers', () => {
  test.each(['0', '65536', '70000', '-1', '', 'x', '6881x', '1e3', '6881.0', '%36881', '999999999999'])(
    'port=%s is refused',
    (port) => expect(codeOf(announceQuery({ port }))).toBe('BadParameter'),
  );

  test('a missing port is refused', () =>
    expect(codeOf(announceQuery({ port: undefined }))).toBe('MissingParameter'));

  test('a missing left is refused', () =>
    expect(codeOf(announceQuery({ left: undefined }))).toBe('MissingParameter'));

  test.each(['left', 'uploaded', 'downloaded'])('%s must be a count of bytes', (name) => {
    for (const value of ['-1', '', 'x', '1.5', '0x10', '1e9', ' 1', '9'.repeat(21)])
      expect([value, codeOf(announceQuery({ [name]: value }))]).toEqual([value, 'BadParameter']);
  });

  test('counts that no double holds are cut to the largest that one does', () => {
    const request = parseAnnounce(
      announceQuery({ left: '18446744073709551615', uploaded: '9223372036854775807' }),
    );
    expect(request.leftBytes).toBe(Number.MAX_SAFE_INTEGER);
    expect(request.uploadedBytes).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each([
    ['-1', 50],
    ['0', 0],
    ['1', 1],
    ['1000000', 200],
    ['99999999999999999999', 200],
  ])('numwant=%s gives %i', (numwant, wanted) =>
    expect(parseAnnounce(announceQuery({ numwant })).wantedPeers).toBe(wanted),
  );

  test.each(['', 'x', '1.5', '--1'])('numwant=%p is refused', (numwant) =>
    expect(codeOf(announceQuery({ numwant }))).toBe('BadParameter'),
  );
});

describe('event, compact, no_peer_id', () => {
  test.each([
    ['', 'none'],
    ['none', 'none'],
    ['empty', 'none'],
    ['started', 'started'],
    ['completed', 'completed'],
    ['stopped', 'stopped'],
    ['paused', 'paused'],
  ])('event=%s is %s', (event, expected) =>
    expect(parseAnnounce(announceQuery({ event })).event).toBe(expected),
  );

  test.each(['Started', 'toString', '__proto__', 'constructor', 'x'.repeat(1000)])(
    'event=%s is refused',
    (event) => expect(codeOf(announceQuery({ event }))).toBe('BadParameter'),
  );

  test('compact=0 asks for the list', () =>
    expect(parseAnnounce(announceQuery({ compact: 0 })).compact).toBe(false));

  test.each(['2', '', 'yes'])('compact=%p and no_peer_id=%p are refused', (value) => {
    expect(codeOf(announceQuery({ compact: value }))).toBe('BadParameter');
    expect(codeOf(announceQuery({ no_peer_id: value }))).toBe('BadParameter');
  });
});

describe('other parameters', () => {
  test.each(['info_hash', 'peer_id'])('%s twice is refused, the same one too', (name) => {
    const query = announceQuery();
    const value = new URLSearchParams(query.replaceAll('%', '%25')).get(name);
    for (const again of [`${name}=1`, name, `${name}=${value}`]) {
      expect(codeOf(`${query}&${again}`)).toBe('RepeatedParameter');
      expect(codeOf(`${again}&${query}`)).toBe('RepeatedParameter');
    }
  });

  test('of any other that is there more than once the last one counts, whatever the others are', () => {
    const own =
      'port=1&uploaded=x&downloaded=&left=-1&event=rubbish&numwant=many&compact=7&no_peer_id=&key=passkey&node=%zz' +
      '&zone=a&ip=192.0.2.1&client=other';
    const query = announceQuery({
      event: 'started',
      numwant: 7,
      no_peer_id: 1,
      key: '0badcafe',
      node: 'n1',
      zone: 'z1',
      ip: '192.0.2.9',
      client: 'enxame',
    });
    expect(parseAnnounce(`${own}&${query}`)).toEqual(parseAnnounce(query));
    expect(parseAnnounce(`${own}&${own}&${query}`)).toEqual(parseAnnounce(query));
    expect(codeOf(`${query}&${own}`)).toBe('BadParameter');
  });

  test('unknown ones, also repeated, also called like parts of objects, are passed over', () => {
    const query = `${announceQuery()}&x&x=1&x=%zz&__proto__=1&constructor=2&toString=3&=4&%00=5`;
    expect(parseAnnounce(query)).toEqual(parseAnnounce(announceQuery()));
  });

  test('ip is read for those who may state it, ipv4 and ipv6 are not', () => {
    const query = `${announceQuery()}&ip=192.0.2.1&ipv4=192.0.2.1:1&ipv6=%5B2001:db8::1%5D:1`;
    expect(parseAnnounce(query)).toEqual({ ...parseAnnounce(announceQuery()), ip: '192.0.2.1' });
    expect(parseAnnounce(`${announceQuery()}&ip=host.example`).ip).toBeUndefined();
  });

  test.each(['', 'UPPER', 'a b', '-a', 'a-', '../x', '<b>', '%zz', 'a'.repeat(254)])(
    'node=%p is no node name and is left out',
    (node) => expect(parseAnnounce(announceQuery({ node })).node).toBeUndefined(),
  );
});

test('a query of more than 8 KiB is refused', () => {
  const query = announceQuery();
  expect(codeOf(`${query}&x=${'a'.repeat(8192 - query.length - 3)}`)).toBe('no error');
  expect(codeOf(`${query}&x=${'a'.repeat(8192 - query.length - 2)}`)).toBe('QueryTooLong');
});

test('whatever comes, there is a request or a TrackerError', () => {
  const name = fc.constantFrom(
    'info_hash',
    'peer_id',
    'port',
    'left',
    'event',
    'compact',
    'numwant',
    'node',
    'x',
  );
  const value = fc.oneof(fc.string(), fc.integer().map(String), fc.constant(escapeBytes(hashOf(1))));
  const pair = fc.tuple(name, fc.constantFrom('=', '', '=='), value).map((parts) => parts.join(''));
  const query = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pair).map((pairs) => pairs.join('&')),
  );
  fc.assert(
    fc.property(query, (text) => expect(typeof codeOf(text)).toBe('string')),
    { numRuns: 2000 },
  );
});
