// Names beside the disk's threads: how many are looked up at once, how long anybody waits, and who asks this way.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { get } from '../../../torrent/discovery/http-get.ts';
import { NameLookups, nameLookups } from '../../../torrent/discovery/name-lookups.ts';
import { UdpTrackerClient } from '../../../torrent/discovery/udp-tracker-client.ts';
import { PeerSocket } from '../../../torrent/session/peers/peer-socket.ts';
import { webSeedDispatcher } from '../../../torrent/web-seed/http-agent.ts';
import { FakeClock, settle } from '../../base/fake-clock.ts';

const ADDRESSES = [
  { address: '192.0.2.1', family: 4 },
  { address: '2001:db8::1', family: 6 },
];

/** A system whose look-ups end when a test says so. */
function slowSystem() {
  const clock = new FakeClock();
  /** Under way, the oldest first. */
  const asked: string[] = [];
  const answers = new Map<string, PromiseWithResolvers<typeof ADDRESSES>>();
  const names = new NameLookups((hostname) => {
    asked.push(hostname);
    const answer = Promise.withResolvers<typeof ADDRESSES>();
    answers.set(hostname, answer);
    return answer.promise;
  }, clock);
  return {
    clock,
    names,
    asked,
    answer: async (hostname: string) => {
      answers.get(hostname)?.resolve(ADDRESSES);
      await settle();
    },
    fail: async (hostname: string) => {
      answers.get(hostname)?.reject(new Error(`getaddrinfo ENOTFOUND ${hostname}`));
      await settle();
    },
  };
}

/** What became of it, as soon as something has. */
function outcomeOf(found: Promise<unknown>): { is: string } {
  const outcome = { is: 'open' };
  found.then(
    () => {
      outcome.is = 'found';
    },
    (error: NodeJS.ErrnoException) => {
      outcome.is = error.code ?? error.message;
    },
  );
  return outcome;
}

test('two are looked up at once; the others wait for their turn', async () => {
  const { names, asked, answer, fail } = slowSystem();
  const outcomes = ['a', 'b', 'c', 'd'].map((name) => outcomeOf(names.find(name, 'server')));
  expect(asked).toEqual(['a', 'b']);
  await answer('b');
  expect(asked).toEqual(['a', 'b', 'c']);
  await fail('a');
  expect(asked).toEqual(['a', 'b', 'c', 'd']);
  await answer('d');
  await answer('c');
  expect(outcomes.map(({ is }) => is)).toEqual(['getaddrinfo ENOTFOUND a', 'found', 'found', 'found']);
});

test('names of peers have one place of the two: whoever makes them up does not hold up a tracker', async () => {
  const { names, asked, answer } = slowSystem();
  for (const name of ['peer1', 'peer2', 'peer3']) outcomeOf(names.find(name, 'peer'));
  outcomeOf(names.find('tracker', 'server'));
  expect(asked).toEqual(['peer1', 'tracker']);
  outcomeOf(names.find('peer3', 'server'));
  await answer('tracker');
  // A tracker of the same name does not wait behind peers either.
  expect(asked).toEqual(['peer1', 'tracker', 'peer3']);
  await answer('peer1');
  expect(asked).toEqual(['peer1', 'tracker', 'peer3', 'peer2']);
});

test('after 10 s whoever asked goes on, had its turn come or not; what is found later serves the next one', async () => {
  const { clock, names, asked, answer } = slowSystem();
  const outcomes = ['a', 'b', 'c'].map((name) => outcomeOf(names.find(name, 'server')));
  await clock.advance(9_999);
  expect(outcomes.map(({ is }) => is)).toEqual(['open', 'open', 'open']);
  await clock.advance(1);
  expect(outcomes.map(({ is }) => is)).toEqual(['EAI_AGAIN', 'EAI_AGAIN', 'EAI_AGAIN']);
  // The look-ups themselves go on, and no other one begins beside them.
  expect(asked).toEqual(['a', 'b']);
  await answer('a');
  expect(await names.find('a', 'server')).toEqual(ADDRESSES);
  expect(clock.pending).toBe(0);
});

test('who asks for the same shares the answer, which is believed for 5 s', async () => {
  const { clock, names, asked, answer } = slowSystem();
  const [one, other] = [names.find('a', 'server'), names.find('a', 'peer')];
  await answer('a');
  expect([await one, await other]).toEqual([ADDRESSES, ADDRESSES]);
  clock.skip(4_999);
  expect(await names.find('a', 'server')).toEqual(ADDRESSES);
  expect(asked).toEqual(['a']);
  clock.skip(1);
  outcomeOf(names.find('a', 'server'));
  expect(asked).toEqual(['a', 'a']);
});

test('a failure is not remembered, and another family is another question', async () => {
  const { names, asked, fail } = slowSystem();
  outcomeOf(names.find('a', 'server'));
  await fail('a');
  outcomeOf(names.find('a', 'server'));
  outcomeOf(names.find('a', 'server', { family: 6 }));
  expect(asked).toEqual(['a', 'a', 'a']);
});

test('at most 256 names wait; an address is no name', async () => {
  const { names, asked } = slowSystem();
  const outcomes = Array.from({ length: 259 }, (_, i) => outcomeOf(names.find(`name${i}`, 'server')));
  await settle();
  expect(outcomes.map(({ is }) => is)).toEqual([...Array<string>(258).fill('open'), 'EAI_AGAIN']);
  expect(await names.find('::1', 'peer')).toEqual([{ address: '::1', family: 6 }]);
  expect(asked).toHaveLength(2);
});

test('at most 256 names are known', async () => {
  const asked: string[] = [];
  const names = new NameLookups((hostname) => {
    asked.push(hostname);
    return Promise.resolve(ADDRESSES);
  }, new FakeClock());
  for (let i = 0; i < 257; i++) await names.find(`name${i}`, 'server');
  for (const name of ['name1', 'name256', 'name0']) await names.find(name, 'server');
  expect(asked.slice(257)).toEqual(['name0']);
});

test('a socket is given all addresses or the first one, and an error where there is none', async () => {
  const found = (addresses: typeof ADDRESSES, options: Parameters<LookupFunction>[1]) =>
    new Promise<unknown[]>((resolve) => {
      const names = new NameLookups(() => Promise.resolve(addresses), new FakeClock());
      names.lookupOf('peer')('a', options, (...answer) => resolve(answer));
    });
  expect(await found(ADDRESSES, { all: true })).toEqual([null, ADDRESSES]);
  expect(await found(ADDRESSES, {})).toEqual([null, '192.0.2.1', 4]);
  expect(await found([], {})).toMatchObject([{ code: 'EAI_AGAIN' }, '']);
});

test('the system is asked for a name by default', async () => {
  const addresses = (await new NameLookups().find('localhost', 'server')).map(({ address }) => address);
  expect(addresses.some((address) => address === '127.0.0.1' || address === '::1')).toBe(true);
});

describe('by this way go', () => {
  let server: Server;
  let port: number;
  let find: jest.SpiedFunction<typeof nameLookups.find>;

  beforeEach(async () => {
    server = createServer((_, response) => response.end('here'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
    find = jest.spyOn(nameLookups, 'find').mockResolvedValue([{ address: '127.0.0.1', family: 4 }]);
  });

  afterEach(() => {
    find.mockRestore();
    server.closeAllConnections();
    server.close();
  });

  const askedFor = () => find.mock.calls.map(([hostname, nameOf]) => `${hostname} of a ${nameOf}`);

  test('announces over HTTP', async () => {
    const url = new URL(`http://tracker.invalid:${port}/`);
    const response = await get(url, { headers: {}, signal: AbortSignal.timeout(5_000) });
    response.destroy();
    expect(askedFor()).toEqual(['tracker.invalid of a server']);
  });

  test('announces over UDP', async () => {
    find.mockResolvedValue([]);
    const request = {
      url: 'udp://tracker.invalid:1',
      infoHash: Buffer.alloc(20),
      peerId: Buffer.alloc(20),
      port: 1,
      key: '0',
      numwant: 1,
      totals: { uploaded: 0, downloaded: 0, left: 0 },
    };
    const announced = new UdpTrackerClient().announce(request, AbortSignal.timeout(5_000));
    await expect(announced).rejects.toThrow('no address');
    expect(askedFor()).toEqual(['tracker.invalid of a server']);
  });

  test('dials of peers', async () => {
    await new Promise<void>((resolve, reject) => {
      const socket = PeerSocket.dial({ host: 'peer.invalid', port }, undefined, {
        connected: () => {
          socket.close();
          resolve();
        },
        data: () => undefined,
        closed: (reason) => reject(new Error(reason)),
      });
    });
    expect(askedFor()).toEqual(['peer.invalid of a peer']);
  });

  test('web seeds', async () => {
    const origin = `http://files.invalid:${port}`;
    const { body } = await webSeedDispatcher.request({ origin, path: '/', method: 'GET' });
    expect(await body.text()).toBe('here');
    expect(askedFor()).toEqual(['files.invalid of a server']);
    await webSeedDispatcher.close();
  });
});
