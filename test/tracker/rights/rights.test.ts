import { createHmac } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { announceKey, KeyRights, NO_CREDENTIALS } from '../../../tracker/rights/rights.ts';
import { OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../../tracker/tracker.ts';
import { announceQuery, escapeBytes, hashOf } from '../announce-query.ts';
import { collectedLog } from '../collected-log.ts';

const SECRET = Buffer.from('0123456789abcdef');
const A = 'aa'.repeat(20);

test('the key is an HMAC over the info hash', () => {
  const mac = createHmac('sha256', SECRET).update(Buffer.alloc(20, 0xaa)).digest('hex');
  expect(announceKey(SECRET, A)).toBe(mac.slice(0, 32));
});

test('the key of a torrent is good for it alone', () => {
  const rights = new KeyRights(SECRET);
  const key = announceKey(SECRET, A);
  for (let round = 0; round < 2; round += 1) {
    expect(() => rights.check(A, { key })).not.toThrow();
    expect(() => rights.check('bb'.repeat(20), { key })).toThrow('not the key of this torrent');
    expect(() => rights.check(A, { key: key.toUpperCase() })).toThrow('not the key');
    expect(() => rights.check(A, { key: '\u00ff'.repeat(32) })).toThrow('not the key');
    expect(() => rights.check(A, { key: '' })).toThrow('not the key');
    expect(() => rights.check(A, NO_CREDENTIALS)).toThrow('wants a key');
  }
});

/** Asks a tracker that wants keys; gives the answer as text. */
async function ask(path: string): Promise<string> {
  tracker ??= await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    rights: new KeyRights(SECRET),
    logger: collectedLog(),
  });
  return (await fetch(`http://127.0.0.1:${tracker.port}${path}`)).text();
}

let tracker: RunningTracker | undefined;

afterEach(async () => {
  await tracker?.close();
  tracker = undefined;
});

test('over HTTP the key is part of the path', async () => {
  const announce = (path: string) => ask(`${path}?${announceQuery()}`);
  expect(await announce('/announce')).toContain('14:failure reason');
  expect(await announce('/announce/0123')).toContain('14:failure reason');
  expect(await announce(`/announce/${announceKey(SECRET, A)}`)).toContain('8:interval');
});

test('a scrape URL has the key of the announce URL it is made of, and its right', async () => {
  const announceUrl = `/announce/${announceKey(SECRET, A)}`;
  const scrapeUrl = announceUrl.replace('announce', 'scrape');
  await ask(`${announceUrl}?${announceQuery()}`);
  const [a, b] = [0xaa, 0xbb].map((byte) => `info_hash=${escapeBytes(hashOf(byte))}`);
  for (const path of [scrapeUrl, `${scrapeUrl}/`, '/scrape'])
    expect(await ask(`${path}?${a}`)).toContain(
      '8:completei0e10:downloadedi0e11:downloadersi1e10:incompletei1e',
    );
  // What it gives no right to is left out, or refused where there is nothing else.
  expect(await ask(`${scrapeUrl}?${a}&${b}`)).toBe(await ask(`${scrapeUrl}?${a}`));
  expect(await ask(`${scrapeUrl}?${b}`)).toContain('not the key of this torrent');
  expect(await ask(`/scrape/0123456789abcdef0123456789abcdef?${a}`)).toContain('not the key of this torrent');
  expect(await ask(scrapeUrl)).toContain('info_hash is missing');
});

test('a tracker without a secret passes over keys in its URLs', async () => {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
  });
  expect(await ask(`/announce/some-key?${announceQuery()}`)).toContain('8:interval');
  expect(await ask(`/scrape/some-key?info_hash=${escapeBytes(hashOf(0xaa))}`)).toContain('10:incompletei1e');
});
