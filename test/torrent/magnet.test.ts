import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatMagnet, parseMagnet } from '../../torrent/magnet.ts';
import { failureOf } from './failure.ts';

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
    ['two torrents', `magnet:?xt=urn:btih:${HEX}&xt=urn:btih:${'0'.repeat(40)}`, 'two torrents'],
    ['a broken escape', `magnet:?xt=urn:btih:${HEX}&dn=%zz`, 'percent-encoded'],
    ['a tracker that is no URL', `magnet:?xt=urn:btih:${HEX}&tr=nowhere`, 'tr is not a URL'],
    ['a tracker of another kind', `magnet:?xt=urn:btih:${HEX}&tr=file:///etc`, 'tr must begin with'],
    ['a web seed of another kind', `magnet:?xt=urn:btih:${HEX}&ws=ftp://x/y`, 'ws must begin with'],
    ['a peer without a port', `magnet:?xt=urn:btih:${HEX}&x.pe=10.0.0.1`, 'x.pe'],
    ['a peer at port 0', `magnet:?xt=urn:btih:${HEX}&x.pe=10.0.0.1:0`, 'x.pe'],
    ['a peer at port 70000', `magnet:?xt=urn:btih:${HEX}&x.pe=10.0.0.1:70000`, 'x.pe'],
    ['a peer at half an address', `magnet:?xt=urn:btih:${HEX}&x.pe=10.1:6881`, 'x.pe'],
    ['a peer in bad brackets', `magnet:?xt=urn:btih:${HEX}&x.pe=[zz]:6881`, 'x.pe'],
    ['a thousand trackers', `magnet:?xt=urn:btih:${HEX}${'&tr=http://x/'.repeat(1000)}`, 'more than'],
    ['a megabyte', `magnet:?xt=urn:btih:${HEX}&dn=${'x'.repeat(1e6)}`, 'longer than'],
  ])('%s is refused with a reason', (_, uri, reason) => {
    const failure = failureOf(() => parseMagnet(uri));
    expect(failure.code).toBe('InvalidMagnet');
    expect(failure.message).toContain(reason);
    expect(failure.message.length).toBeLessThan(300);
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
      });
    }),
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
