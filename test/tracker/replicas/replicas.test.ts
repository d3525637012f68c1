import { afterEach, expect, test } from '@jest/globals';
import { rankReplicas } from '../../../torrent/discovery/rendezvous.ts';
import { FORWARDED_HEADER, Replicas } from '../../../tracker/replicas/replicas.ts';
import { NO_CREDENTIALS } from '../../../tracker/rights/rights.ts';
import { compactHost, setPort } from '../../../tracker/swarms/peer-address.ts';
import { MutableTorrentList, OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../../tracker/tracker.ts';
import { announceQuery } from '../announce-query.ts';
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
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  const owner = await startOwner(torrents);
  const other = replicas(OTHER, `http://127.0.0.1:${owner.port}`);
  expect(await other.forward(announceFrom('192.0.2.7', 1), A)).toContain('14:failure reason');
});

test('the owner itself, and whoever was asked by another, answers at once', () => {
  expect(replicas(OWNER, 'http://127.0.0.1:9').forward(announceFrom('192.0.2.7', 1), A)).toBeUndefined();
  const other = replicas(OTHER, 'http://127.0.0.1:9');
  expect(other.forward(announceFrom('192.0.2.7', 1, true), A)).toBeUndefined();
});

test('an owner that does not answer is left alone for a moment', async () => {
  const clock = { now: 5 };
  const other = replicas(OTHER, 'http://127.0.0.1:9', clock);
  expect(await other.forward(announceFrom('192.0.2.7', 1), A)).toBeUndefined();
  expect(other.counts.failed).toBe(1);
  expect(other.forward(announceFrom('192.0.2.7', 1), A)).toBeUndefined();
  expect(other.counts.failed).toBe(1);
  clock.now = 2_000;
  expect(await other.forward(announceFrom('192.0.2.7', 1), A)).toBeUndefined();
  expect(other.counts.failed).toBe(2);
});

test('a proof is good for its secret, its peer and its query alone', async () => {
  const owner = await startOwner();
  const ask = async (header: string) => {
    const url = `http://127.0.0.1:${owner.port}/announce?${announceQuery()}`;
    return (await fetch(url, { headers: { [FORWARDED_HEADER]: header } })).text();
  };
  const host = compactHost('192.0.2.7') as Buffer;
  setPort(host, 0);
  for (const header of [
    '',
    'rubbish',
    `${host.toString('hex')} ${'00'.repeat(32)}`,
    `${host.toString('hex')} 00`,
  ])
    expect(await ask(header)).toContain('14:failure reason');
  // Another secret: what it proves is not believed, and its own swarms go on.
  const liar = replicas(OTHER, `http://127.0.0.1:${owner.port}`, { now: 0 }, Buffer.alloc(20, 1));
  expect(await liar.forward(announceFrom('192.0.2.7', 1), A)).toContain('14:failure reason');
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
  expect(made.forward(asked, A)).toBeUndefined();
  listener(new Map([[OWNER, `http://127.0.0.1:${owner.port}`]]));
  expect(await made.forward(asked, A)).toContain('5:peers');
  // Elsewhere from now on, where nobody listens.
  listener(new Map([[OWNER, 'http://127.0.0.1:9']]));
  expect(await made.forward(asked, A)).toBeUndefined();
  listener(new Map([[OTHER, 'http://127.0.0.1:9']]));
  expect(made.forward(asked, A)).toBeUndefined();
  await made.close();
  expect(isFollowed).toBe(false);
});
