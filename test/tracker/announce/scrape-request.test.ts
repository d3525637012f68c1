import { expect, test } from '@jest/globals';
import { parseScrape } from '../../../tracker/announce/scrape-request.ts';
import { escapeBytes, hashOf } from '../announce-query.ts';

const asked = (hashes: readonly number[]) =>
  hashes.map((byte) => `info_hash=${escapeBytes(hashOf(byte))}`).join('&');

test('reads the info hashes, each once', () => {
  expect(parseScrape(`${asked([2, 1, 2])}&x=1`)).toEqual(['02'.repeat(20), '01'.repeat(20)]);
});

test('refuses a scrape of everything', () => {
  expect(() => parseScrape('')).toThrow('info_hash is missing');
});

test('refuses a bad info hash among good ones', () => {
  expect(() => parseScrape(`${asked([1])}&info_hash=%41`)).toThrow('info_hash is 1 bytes after decoding');
});

test('refuses 10,000 info hashes', () => {
  const hashes = Array.from({ length: 10_000 }, (_, index) => {
    const hash = Buffer.alloc(20);
    hash.writeUInt32BE(index);
    return `info_hash=${escapeBytes(hash)}`;
  });
  expect(() => parseScrape(hashes.join('&'))).toThrow('are allowed');
  expect(parseScrape(hashes.slice(0, 100).join('&'))).toHaveLength(100);
  expect(() => parseScrape(hashes.slice(0, 101).join('&'))).toThrow('at most 100');
});
