import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../torrent/bencode.ts';
import { TorrentError } from '../../torrent/errors.ts';
import { formatMagnet, parseMagnet } from '../../torrent/magnet.ts';
import { type Metainfo, parseMetainfo } from '../../torrent/metainfo.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters } from './fuzz.ts';

const HEX = 'c12fe1c06bba254a9dc9f519b335aa7c1367a88a';
const BASE32 = 'YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK';

describe('a magnet link', () => {
  test('says hash, name, trackers, peers and web seeds', () => {
    const uri =
      `magnet:?xt=urn:btih:${HEX}&dn=a+b%20%C3%A7&tr=http%3A%2F%2Ft.example%2Fannounce&tr.1=udp://u.example:80` +
      '&x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:6882&x.pe=peer.example:6883&ws=http%3A%2F%2Fw.example%2Ff&x.unknown=1';
    expect(parseMagnet(uri)).toEqual({
      infoHash: Buffer.from(HEX, 'hex'),
      infoHashHex: HEX,
      name: 'a b ç',
      trackers: ['http://t.example/announce', 'udp://u.example:80'],
      peers: [
        { host: '10.0.0.1', port: 6881 },
        { host: '2001:db8::1', port: 6882 },
        { host: 'peer.example', port: 6883 },
      ],
      webSeeds: ['http://w.example/f'],
      ignored: [],
    });
  });

  test.each([
    ['upper-case hex', `magnet:?xt=urn:btih:${HEX.toUpperCase()}`],
    ['base32', `magnet:?xt=urn:btih:${BASE32}`],
    ['base32 in lower case', `magnet:?xt=urn:btih:${BASE32.toLowerCase()}`],
    ['an upper-case scheme', `MAGNET:?xt=urn:btih:${HEX}`],
    ['an encoded topic', `magnet:?xt=urn%3Abtih%3A${HEX}`],
    ['the same hash twice', `magnet:?xt=urn:btih:${HEX}&xt.2=urn:btih:${BASE32}`],
    ['a hybrid', `magnet:?xt=urn:btmh:1220${'00'.repeat(32)}&xt=urn:btih:${HEX}`],
    ['stray separators', `magnet:?&&xt=urn:btih:${HEX}&=x&foo&`],
  ])('with %s', (_, uri) => {
    expect(parseMagnet(uri).infoHashHex).toBe(HEX);
  });

  test('does not bring control characters into a name', () => {
    expect(parseMagnet(`magnet:?xt=urn:btih:${HEX}&dn=a%1b[2Jb%0A`).name).toBe('a?[2Jb?');
  });

  test.each([
    ['no magnet', `http://x/?xt=urn:btih:${HEX}`, 'must begin with magnet:?'],
    ['no topic', 'magnet:?dn=x', 'xt=urn:btih'],
    ['an empty hash', 'magnet:?xt=urn:btih:', '40 hex digits'],
    ['39 digits', `magnet:?xt=urn:btih:${HEX.slice(1)}`, '40 hex digits'],
    ['wrong digits', `magnet:?xt=urn:btih:g${HEX.slice(1)}`, '40 hex digits'],
    ['wrong letters', `magnet:?xt=urn:btih:${BASE32.replace('Y', '1')}`, '40 hex digits'],
    ['a broken escape in the topic', 'magnet:?xt=urn:btih:%zz', 'xt is not percent-encoded'],
    ['two torrents', `magnet:?xt=urn:btih:${HEX}&xt=urn:btih:${'0'.repeat(40)}`, 'two torrents'],
    ['a megabyte', `magnet:?xt=urn:btih:${HEX}&dn=${'x'.repeat(1e6)}`, 'longer than'],
  ])('%s is refused with a reason', (_, uri, reason) => {
    const failure = failureOf(() => parseMagnet(uri));
    expect(failure.code).toBe('InvalidMagnet');
    expect(failure.message).toContain(reason);
    expect(failure.message.length).toBeLessThan(300);
  });

  const GOOD = '&dn=name&tr=http://t/&x.pe=10.0.0.1:1&ws=http://w/';

  test.each([
    ['a broken escape in a name', 'dn=%zz', 'dn is not percent-encoded UTF-8: "%zz"'],
    ['a name that is no UTF-8', 'dn=caf%e9', 'dn is not percent-encoded UTF-8'],
    ['a broken escape in a tracker', 'tr=http://%', 'tr is not percent-encoded UTF-8'],
    ['a tracker that is no URL', 'tr=nowhere', 'tr is not a URL'],
    ['an empty tracker', 'tr=', 'tr is not a URL: ""'],
    ['a tracker of another kind', 'tr=file:///etc', 'tr must begin with'],
    ['a web seed of another kind', 'ws=ftp://x/y', 'ws must begin with'],
    ['a peer without a port', 'x.pe=10.0.0.1', 'x.pe is HOST:PORT'],
    ['a peer at port 0', 'x.pe=10.0.0.1:0', 'x.pe'],
    ['a peer at port 70000', 'x.pe=10.0.0.1:70000', 'x.pe'],
    ['a peer at half an address', 'x.pe=10.1:6881', 'x.pe'],
    ['a peer in bad brackets', 'x.pe=[zz]:6881', 'x.pe'],
  ])('with %s is read without it, and says so', (_, odd, message) => {
    for (const link of [`${odd}${GOOD}`, `${GOOD.slice(1)}&${odd}`]) {
      const magnet = parseMagnet(`magnet:?${link}&xt=urn:btih:${HEX}`);
      expect(magnet).toMatchObject({
        name: 'name',
        trackers: ['http://t/'],
        peers: [{ host: '10.0.0.1', port: 1 }],
        webSeeds: ['http://w/'],
        ignored: [expect.stringContaining(message)],
      });
    }
  });

  test('with a thousand of each is read with two hundred, and a short word of the rest', () => {
    const many = '&tr=http://x/&ws=http://y/&x.pe=a:1&dn=%'.repeat(1000);
    const magnet = parseMagnet(`magnet:?xt=urn:btih:${HEX}${many}`);
    expect([magnet.trackers.length, magnet.webSeeds.length, magnet.peers.length]).toEqual([200, 200, 200]);
    expect(magnet.ignored).toEqual([
      'dn is not percent-encoded UTF-8: "%"',
      'tr is there more than 200 times',
      'ws is there more than 200 times',
      'x.pe is there more than 200 times',
      '3396 more',
    ]);
    expect(magnet.ignored.join().length).toBeLessThan(500);
  });

  test('of version 2 alone is not supported', () => {
    const uri = `magnet:?xt=urn:btmh:1220${'00'.repeat(32)}`;
    expect(failureOf(() => parseMagnet(uri)).code).toBe('UnsupportedMetainfo');
  });
});

test('what is formatted is read back', () => {
  const peer = fc.record({
    host: fc.oneof(fc.ipV4(), fc.constant('2001:db8::7'), fc.domain()),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  const magnets = fc.record({
    infoHashHex: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((b) => Buffer.from(b).toString('hex')),
    name: fc.option(
      fc.string({ unit: 'grapheme' }).filter((name) => !/\p{Cc}/u.test(name)),
      { nil: undefined },
    ),
    trackers: fc.array(fc.webUrl({ withQueryParameters: true }), { maxLength: 5 }),
    peers: fc.array(peer, { maxLength: 5 }),
    webSeeds: fc.array(fc.webUrl(), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(magnets, (magnet) => {
      expect(parseMagnet(formatMagnet(magnet))).toEqual({
        ...magnet,
        infoHash: Buffer.from(magnet.infoHashHex, 'hex'),
        ignored: [],
      });
    }),
  );
});

test('what is formatted of anything is read back without a word, and formatted the same again', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('\ud800', '\udc00', '\0', '\n', '&', '=', '%', '+', '#', 'é', '\u202e', ' '),
    }),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string().map((rest) => `http://t/${rest}`),
    fc.string({ unit: fc.constantFrom('\ud800', '\0', '&', '%', 'é') }).map((rest) => `udp://t:1/?${rest}`),
    fc.constantFrom(
      '',
      'http://',
      'ftp://x/',
      'dht://x',
      'http://[::1',
      'http://a b/',
      'WSS://T/',
      'x'.repeat(30_000),
    ),
    fc.constant(`http://t/${'é'.repeat(7000)}`),
  );
  const list = fc.oneof(
    fc.array(text, { maxLength: 8 }),
    fc.array(text, { minLength: 1, maxLength: 2 }).map((some) => Array(201).fill(some).flat() as string[]),
  );
  const peer = fc.record({
    host: fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.domain(),
      fc.string(),
      fc.constantFrom('a&b', 'a%41', 'é', '1.2'),
    ),
    port: fc.integer({ min: -1, max: 70_000 }),
  });
  const magnets = fc.record({
    infoHashHex: fc.constant(HEX),
    name: fc.option(text, { nil: undefined }),
    trackers: list,
    webSeeds: list,
    peers: fc.array(peer, { maxLength: 4 }),
  });
  fc.assert(
    fc.property(magnets, (magnet) => {
      const link = formatMagnet(magnet);
      const read = parseMagnet(link);
      expect(read.ignored).toEqual([]);
      expect(formatMagnet(read)).toBe(link);
      // Nothing that is right is lost while there is room for it.
      const right = magnet.trackers.filter((url) => /^http:\/\/t\/[a-z]*$/.test(url));
      if (link.length < 30_000 && magnet.trackers.length < 200)
        expect(read.trackers).toEqual(expect.arrayContaining(right));
    }),
    fuzzParameters(150),
  );
});

test('of every torrent that is accepted the link is accepted', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.webUrl().map((url) => Buffer.from(url)),
  );
  const name = fc
    .oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }))
    .map((text) => Buffer.from(text));
  fc.assert(
    fc.property(fc.array(fc.array(bytes)), fc.array(bytes), name, (tiers, webSeeds, rawName) => {
      const info = { length: 0, name: rawName, 'piece length': 1, pieces: '' };
      let metainfo: Metainfo;
      try {
        metainfo = parseMetainfo(encodeBencode({ 'announce-list': tiers, 'url-list': webSeeds, info }));
      } catch (error) {
        expect(error).toBeInstanceOf(TorrentError);
        return;
      }
      const { infoHashHex, announceList } = metainfo;
      const trackers = announceList.flat();
      const link = formatMagnet({
        infoHashHex,
        name: metainfo.name,
        trackers,
        webSeeds: [...metainfo.webSeeds],
      });
      const read = parseMagnet(link);
      expect(read).toMatchObject({ infoHashHex, name: metainfo.name, ignored: [] });
      for (const url of read.trackers) expect(trackers).toContain(url);
    }),
    fuzzParameters(500),
  );
});

test('rubbish is a TorrentError and nothing else', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const uri of [text, `magnet:?${text}`, `magnet:?xt=urn:btih:${HEX}&${text}`]) {
        try {
          parseMagnet(uri);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/InvalidMagnet|UnsupportedMetainfo/) });
        }
      }
    }),
  );
});
