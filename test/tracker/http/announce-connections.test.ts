import { connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { MutableTorrentList, OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker, type TrackerSettings } from '../../../tracker/tracker.ts';
import { announceQuery } from '../announce-query.ts';
import { collectedLog } from '../collected-log.ts';

let tracker: RunningTracker;

async function start(settings: Partial<TrackerSettings> = {}): Promise<void> {
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
    ...settings,
  });
}

afterEach(() => tracker.close());

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const ANNOUNCE = get(`/announce?${announceQuery()}`);
const LAST = get('/healthz', 'Connection: close\r\n');

/** What a connection gives until the tracker closes it, to parts that are sent one behind the other. */
function talk(parts: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  const socket = connect(tracker.port, '127.0.0.1', async () => {
    for (const part of parts)
      await new Promise((sent) => socket.write(part, 'latin1', () => setImmediate(sent)));
  });
  socket.setNoDelay(true);
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', reject).on('close', () => resolve(text));
  return promise;
}

/** `A` for each answer to an announce and `H` for each one of /healthz, in their order. */
const order = (text: string) =>
  [...text.matchAll(/8:interval|"status":"ok"/g)]
    .map(([found]) => (found === '8:interval' ? 'A' : 'H'))
    .join('');

test.each([
  ['one', [ANNOUNCE, LAST], 'AH'],
  ['many in one piece', [ANNOUNCE.repeat(5) + LAST], 'AAAAAH'],
  ['a cut announce', [ANNOUNCE.slice(0, 40), ANNOUNCE.slice(40), LAST], 'AH'],
  ['a whole one and a cut one', [ANNOUNCE + ANNOUNCE.slice(0, 40), ANNOUNCE.slice(40) + LAST], 'AAH'],
  ['something else between', [ANNOUNCE + get('/healthz') + ANNOUNCE + LAST], 'AHAH'],
  ['one that closes its connection', [get(`/announce?${announceQuery()}`, 'Connection: close\r\n')], 'A'],
  [
    'one that keeps it open',
    [get(`/announce?${announceQuery()}`, 'connection: keep-alive\r\n') + LAST],
    'AH',
  ],
])('announces on a connection: %s', async (_, parts, expected) => {
  await start();
  expect(order(await talk(parts))).toBe(expected);
});

test.each(['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'content-length : 5\r\n'])(
  'what has a body is no plain announce: %p',
  async (header) => {
    await start();
    const bytes = get(`/announce?${announceQuery()}`, header);
    // What follows is a body, or nothing at all: never another request.
    expect(order(await talk([`${bytes}${LAST}`]).catch(() => ''))).not.toContain('H');
  },
);

test('announces behind one that waits are answered after it', async () => {
  const torrents = new MutableTorrentList();
  await start({ torrents, arrivalWaitMilliseconds: 60_000 });
  const answers = talk([ANNOUNCE.repeat(3) + LAST]);
  torrents.isSynced = true;
  torrents.add('test', { infoHashHex: 'aa'.repeat(20) });
  expect(order(await answers)).toBe('AAAH');
});

test('one that waits when the tracker ends is answered first', async () => {
  await start({ torrents: new MutableTorrentList(), arrivalWaitMilliseconds: 60_000 });
  const answers = talk([ANNOUNCE]);
  await new Promise<void>((resolve) => {
    const other = connect(tracker.port, '127.0.0.1', () => other.write(get('/healthz')));
    other.once('data', () => resolve(void other.destroy()));
  });
  await tracker.close();
  expect(await answers).toContain('14:failure reason');
});
