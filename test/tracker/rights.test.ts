import { createHmac } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { announceKey, KeyRights, NO_CREDENTIALS } from '../../tracker/rights.ts';
import { OPEN_LIST } from '../../tracker/torrents.ts';
import { startTracker } from '../../tracker/tracker.ts';
import { announceQuery } from './announce-query.ts';
import { collectedLog } from './collected-log.ts';

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

test('over HTTP the key is part of the path', async () => {
  const tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    rights: new KeyRights(SECRET),
    logger: collectedLog(),
  });
  try {
    const announce = async (path: string) =>
      (await fetch(`http://127.0.0.1:${tracker.port}${path}?${announceQuery()}`)).text();
    expect(await announce('/announce')).toContain('14:failure reason');
    expect(await announce('/announce/0123')).toContain('14:failure reason');
    expect(await announce(`/announce/${announceKey(SECRET, A)}`)).toContain('8:interval');
  } finally {
    await tracker.close();
  }
});
