import { afterEach, expect, test } from '@jest/globals';
import { rankReplicas } from '../../../torrent/discovery/rendezvous.ts';
import { FORWARDED_HEADER, sealAnnounce } from '../../../tracker/replicas/forwarded-announce.ts';
import { Replicas } from '../../../tracker/replicas/replicas.ts';
import { NO_CREDENTIALS } from '../../../tracker/rights/rights.ts';
import { compactHost, setPort } from '../../../tracker/swarms/peer-address.ts';
import { MutableTorrentList, OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../../tracker/tracker.ts';
import { announceQuery, escapeBytes, hashOf } from '../announce-query.ts';
import { decode } from '../bdecode.ts';
import { collectedLog } from '../collected-log.ts';

const SECRET = Buffer.from('a secret of the replicas');
const NAMES = ['a', 'b'];
const A = 'aa'.repeat(20);
const [OWNER, OTHER] = rankReplicas(A, NAMES) as [string, string];

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
});

function replicas(name: string, ownerUrl: string, clock = { now: 0 }, secret = SECRET): Replicas {
  const urls = new Map([
    [OWNER, ownerUrl],
    [OTHER, 'http://127.0.0.1:9'],
  ]);
  const made = new Replicas({ name, urls, secret }, collectedLog(), () => clock.now);
  ends.push(() => made.close());
  return made;
}

async function startOwner(torrents = OPEN_LIST): Promise<RunningTracker> {
  const tracker = await startTracker({
    torrents,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
    replicas: { name: OWNER, urls: new Map([[OTHER, 'http://127.0.0.1:9']]), secret: SECRET },
  });
  ends.push(() => tracker.close());
  return tracker;
}

const announceFrom = (address: string, port: number, isForwarded = false) => ({
  query: announceQuery({ port, left: 5 }),
  host: compactHost(address),
  credentials: NO_CREDENTIALS,
  isForwarded,
});

test('an announce is answered by the owner, who takes the address of the peer', async () => {
  const owner = await startOwner();
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  await other.forward(announceFrom('192.0.2.7', 1001), A);
  await other.forward(announceFrom('2001:db8::7', 1002), A);
  const answer = (await other.forward(announceFrom('192.0.2.8', 1003), A)) ?? '';
  expect(Buffer.from(answer, 'latin1').toString('hex')).toContain('c000020703e9');
  expect(answer).toContain('6:peers618:');
  expect(other.counts).toEqual({ answered: 3, failed: 0 });
});

test('the word of our own client travels along', async () => {
  const owner = await startOwner();
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  const intervalOf = async (client: string) => {
    const query = announceQuery({ left: 5, client });
    const answer = await other.forward({ ...announceFrom('192.0.2.7', 1), query }, A);
    return Number(/8:intervali(\d+)e/.exec(answer ?? '')?.[1]);
  };
  expect(await intervalOf('enxame')).toBeLessThanOrEqual(11);
  expect(await intervalOf('other')).toBeGreaterThanOrEqual(300);
});

test('our own client hears that its announce was handed on, and whoever asks the owner does not', async () => {
  const owner = await startOwner();
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  const handedOn = async (client: string) => {
    const query = announceQuery({ left: 5, client });
    const answer = (await other.forward({ ...announceFrom('192.0.2.7', 1), query }, A)) ?? '';
    return decode(Buffer.from(answer, 'latin1'));
  };
  expect(await handedOn('enxame')).toMatchObject({ 'handed on': 1 });
  expect(await handedOn('other')).not.toHaveProperty(['handed on']);
  const url = `http://127.0.0.1:${owner.port}/announce?${announceQuery({ client: 'enxame' })}`;
  expect(await (await fetch(url)).text()).not.toContain('handed on');
});

test('a failure of the owner is handed on, not mended here', async () => {
  const owner = await startOwner();
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  const refused = { ...announceFrom('192.0.2.7', 1), query: announceQuery({ port: 'x' }) };
  expect(await other.forward(refused, A)).toContain('14:failure reason');
});

test('an owner that has not heard of the torrent yet is asked again, and does not make anybody wait', async () => {
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  const owner = await startOwner(torrents);
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  const answer = other.forward(announceFrom('192.0.2.7', 1), A);
  setTimeout(() => torrents.add('test', { infoHashHex: A, name: 'late' }), 300);
  expect(await answer).toContain('5:peers');
  expect(other.counts).toEqual({ answered: 1, failed: 0 });
});

test.each([
  ['a query that no request could carry', { query: `${announceQuery({ left: 5 })}&x=\x01 \r\n` }],
  ['a key that would lead elsewhere', { credentials: { key: 'a/../b?c' } }],
  ['a token of odd characters', { credentials: { key: undefined, token: 'a\r\nb: c' } }],
  ['a query of 20 kB', { query: `${announceQuery({ left: 5 })}&x=${'y'.repeat(20_000)}` }],
  ['an unknown torrent', { query: announceQuery({ info_hash: escapeBytes(hashOf(0xbb)) }) }],
])('%s does not make the owner count as away', async (_, changes) => {
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  torrents.add('test', { infoHashHex: A, name: 'a' });
  const owner = await startOwner(torrents);
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  for (let i = 0; i < 4; i++) await other.forward({ ...announceFrom('192.0.2.7', 1), ...changes }, A);
  const good = announceFrom('192.0.2.8', 1);
  expect(other.isElsewhere(good, A)).toBe(true);
  expect(await other.forward(good, A)).toContain('5:peers');
  expect(other.counts.failed).toBe(0);
});

test('the owner itself, and whoever was asked by another, answers at once', () => {
  const asked = announceFrom('192.0.2.7', 1);
  expect(replicas(OWNER, 'http://127.0.0.1:9').isElsewhere(asked, A)).toBe(false);
  const other = replicas(OTHER, 'http://127.0.0.1:9');
  expect(other.isElsewhere(asked, A)).toBe(true);
  expect(other.isElsewhere(announceFrom('192.0.2.7', 1, true), A)).toBe(false);
});

test('an owner that gives no answer three times in a row is left alone for a moment', async () => {
  const clock = { now: 5 };
  const other = replicas(OTHER, 'http://127.0.0.1:9', clock);
  const asked = announceFrom('192.0.2.7', 1);
  for (let failed = 1; failed <= 3; failed++) {
    expect(other.isElsewhere(asked, A)).toBe(true);
    expect(await other.forward(asked, A)).toBeUndefined();
    expect(other.counts.failed).toBe(failed);
  }
  expect(other.isElsewhere(asked, A)).toBe(false);
  expect(await other.forward(asked, A)).toBeUndefined();
  expect(other.counts.failed).toBe(3);
  clock.now = 2_000;
  // One more without an answer is enough then.
  await other.forward(asked, A);
  expect([other.counts.failed, other.isElsewhere(asked, A)]).toEqual([4, false]);
});

test('what another replica did not seal for this one just now is refused with 403', async () => {
  const owner = await startOwner();
  const host = compactHost('192.0.2.7') as Buffer;
  setPort(host, 0);
  const now = Date.now() / 1000;
  const seal = (to: string, secret = SECRET, at = now) =>
    sealAnnounce(announceFrom('192.0.2.7', 1001), host, to, secret, at) as string;
  const ask = async (header: string) => {
    const url = `http://127.0.0.1:${owner.port}/announce?${announceQuery()}`;
    const response = await fetch(url, { headers: { [FORWARDED_HEADER]: header } });
    return response.status;
  };
  expect(await ask(seal(OWNER))).toBe(200);
  expect(await ask(seal(OWNER, SECRET, now - 55))).toBe(200);
  for (const header of [
    'rubbish',
    seal(OTHER),
    seal(OWNER, Buffer.alloc(20, 1)),
    seal(OWNER, SECRET, now - 70),
    seal(OWNER, SECRET, now + 70),
    seal(OWNER).slice(0, -1),
    seal(OWNER).replace(/^../, 'AA'),
  ])
    expect(await ask(header)).toBe(403);
});

test('a replica of another secret answers itself, and counts nobody as away', async () => {
  const owner = await startOwner();
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`, { now: 0 }, Buffer.alloc(20, 1));
  for (let i = 0; i < 4; i++) expect(await other.forward(announceFrom('192.0.2.7', 1), A)).toBeUndefined();
  expect(other.isElsewhere(announceFrom('192.0.2.7', 1), A)).toBe(true);
});

test('replicas that come and go change the owner of a torrent', async () => {
  const owner = await startOwner();
  let listener: (urls: ReadonlyMap<string, string>) => void = () => {};
  let isFollowed = true;
  const made = new Replicas(
    {
      name: OTHER,
      urls: new Map(),
      secret: SECRET,
      follow: (given) => {
        listener = given;
        return () => {
          isFollowed = false;
        };
      },
    },
    collectedLog(),
    () => 0,
  );
  const asked = announceFrom('192.0.2.7', 1);
  expect(made.isElsewhere(asked, A)).toBe(false);
  listener(new Map([[OWNER, `http://127.0.0.1:${owner.port}`]]));
  expect(await made.forward(asked, A)).toContain('5:peers');
  // Elsewhere from now on, where nobody listens.
  listener(new Map([[OWNER, 'http://127.0.0.1:9']]));
  expect(await made.forward(asked, A)).toBeUndefined();
  listener(new Map([[OTHER, 'http://127.0.0.1:9']]));
  expect(made.isElsewhere(asked, A)).toBe(false);
  await made.close();
  expect(isFollowed).toBe(false);
});
