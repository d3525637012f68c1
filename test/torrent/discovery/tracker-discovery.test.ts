import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AnnounceRefusal, AnnounceReply } from '../../../torrent/discovery/announce-reply.ts';
import type { PeerAddress } from '../../../torrent/discovery/discovery.ts';
import type { AnnounceRequest, TrackerClient } from '../../../torrent/discovery/tracker-client.ts';
import {
  type AnnounceOutcome,
  type TrackerDiscovery,
  type TrackerDiscoveryOptions,
  trackerDiscovery,
} from '../../../torrent/discovery/tracker-discovery.ts';
import { TorrentError } from '../../../torrent/errors.ts';
import { FakeClock } from '../../base/fake-clock.ts';

const PEER: PeerAddress = { host: '10.0.0.1', port: 6881 };

type Answer = AnnounceReply | AnnounceRefusal | 'down' | 'hangs';

function reply(more: Partial<AnnounceReply> = {}): AnnounceReply {
  return { kind: 'reply', peers: [PEER], intervalSeconds: 100, minIntervalSeconds: 20, ...more };
}

class FakeTrackers implements TrackerClient {
  readonly #clock: FakeClock;
  readonly answers = new Map<string, Answer>();
  /** `seconds host event` of each announce. */
  readonly log: string[] = [];
  readonly requests: AnnounceRequest[] = [];

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply | AnnounceRefusal> {
    const host = new URL(request.url).hostname;
    this.requests.push(request);
    this.log.push(`${this.#clock.monotonic() / 1000} ${host}${request.event ? ` ${request.event}` : ''}`);
    const answer = this.answers.get(host) ?? reply();
    if (answer === 'hangs') {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
    }
    if (answer === 'down' || answer === 'hangs') throw new TorrentError('TrackerUnreachable', 'down');
    return answer;
  }

  /** The log, and forgets it. */
  take(): string[] {
    return this.log.splice(0);
  }
}

let clock: FakeClock;
let trackers: FakeTrackers;
let lists: PeerAddress[][];
let outcomes: AnnounceOutcome[];
let left: number;
let discovery: TrackerDiscovery;

function make(tiers: string[][], more: Partial<TrackerDiscoveryOptions> = {}): TrackerDiscovery {
  discovery = trackerDiscovery({
    tiers: tiers.map((tier) => tier.map((host) => `http://${host}/announce`)),
    client: trackers,
    clock,
    random: () => 0.5,
    onOutcome: (outcome) => outcomes.push(outcome),
    ...more,
  });
  return discovery;
}

function start(): void {
  discovery.start(
    {
      infoHash: Buffer.alloc(20, 1),
      peerId: Buffer.alloc(20, 2),
      port: 6881,
      progress: () => ({ uploaded: 7, downloaded: 8, left }),
    },
    (addresses) => lists.push(addresses),
  );
}

beforeEach(() => {
  clock = new FakeClock();
  trackers = new FakeTrackers(clock);
  lists = [];
  outcomes = [];
  left = 1000;
});

afterEach(async () => {
  const stopped = discovery.stop();
  await clock.advance(10_000);
  await stopped;
  expect(clock.pending).toBe(0);
});

describe('announces', () => {
  test('at once, then at the interval', async () => {
    make([['a']]);
    expect(trackers.log).toEqual([]);
    start();
    await clock.advance(250_000);
    expect(trackers.take()).toEqual(['0 a started', '100 a', '200 a']);
    expect(lists).toEqual([[PEER], [PEER], [PEER]]);
    expect(trackers.requests[0]).toMatchObject({
      infoHash: Buffer.alloc(20, 1),
      peerId: Buffer.alloc(20, 2),
      port: 6881,
      totals: { uploaded: 7, downloaded: 8, left: 1000 },
      numwant: 80,
    });
    expect(new Set(trackers.requests.map(({ key }) => key)).size).toBe(1);
  });

  test('with jitter on the interval, never before the min interval', async () => {
    let value = 0;
    make([['a']], { random: () => value });
    start();
    await clock.advance(90_000);
    value = 0.999;
    await clock.advance(110_000);
    expect(trackers.take()).toEqual(['0 a started', '95 a', expect.stringMatching(/^199\.9.* a$/)]);
    trackers.answers.set('a', reply({ intervalSeconds: 100, minIntervalSeconds: 100 }));
    value = 0;
    await clock.advance(100_000);
    trackers.take();
    await clock.advance(200_000);
    const [one, other] = trackers.take().map((line) => Number.parseFloat(line));
    expect((other ?? 0) - (one ?? 0)).toBeCloseTo(100);
  });

  test('completion at once, once', async () => {
    make([['a']]);
    start();
    await clock.advance(5_000);
    left = 0;
    discovery.announce('completed');
    discovery.announce('completed');
    await clock.advance(1_000);
    discovery.announce('completed');
    await clock.advance(110_000);
    expect(trackers.take()).toEqual(['0 a started', '5 a completed', '105 a']);
  });

  test('completion that comes while an announce is under way, right after it', async () => {
    make([['a']]);
    start();
    discovery.announce('completed');
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['0 a started', '0 a completed']);
  });

  test('no completion to a tracker that meets us complete', async () => {
    left = 0;
    make([['a']]);
    start();
    await clock.advance(1_000);
    discovery.announce('completed');
    await clock.advance(1_000);
    expect(trackers.take().filter((line) => line.includes('completed'))).toEqual([]);
  });

  test('with parameters, fresh headers and the id that the tracker gave', async () => {
    let token = 1;
    trackers.answers.set('a', reply({ trackerId: Buffer.from('id') }));
    make([['a']], { parameters: { node: 'n' }, headers: () => ({ authorization: `t${token++}` }) });
    start();
    await clock.advance(150_000);
    expect(
      trackers.requests.map(({ headers, trackerId, parameters }) => [headers, trackerId, parameters]),
    ).toEqual([
      [{ authorization: 't1' }, undefined, { node: 'n' }],
      [{ authorization: 't2' }, Buffer.from('id'), { node: 'n' }],
    ]);
  });
});

describe('an empty first list', () => {
  test('is asked for again after 0.2, 0.5 and 1 s, of our own trackers', async () => {
    trackers.answers.set('a', reply({ peers: [] }));
    make([['a']], { ownTrackers: true });
    start();
    await clock.advance(50_000);
    expect(trackers.take()).toEqual(['0 a started', '0.2 a', '0.7 a', '1.7 a']);
  });

  test('is not asked for again once it was not empty', async () => {
    trackers.answers.set('a', reply({ peers: [] }));
    make([['a']], { ownTrackers: true });
    start();
    await clock.advance(300);
    trackers.answers.set('a', reply());
    await clock.advance(500);
    trackers.answers.set('a', reply({ peers: [] }));
    await clock.advance(120_000);
    expect(trackers.take()).toEqual(['0 a started', '0.2 a', '0.7 a', '100.7 a']);
  });

  test('of other trackers waits for the interval', async () => {
    trackers.answers.set('a', reply({ peers: [] }));
    make([['a']]);
    start();
    await clock.advance(50_000);
    expect(trackers.take()).toEqual(['0 a started']);
  });
});

describe('needMore', () => {
  test('asks as soon as the min interval allows, and once', async () => {
    make([['a']]);
    start();
    await clock.advance(5_000);
    discovery.needMore();
    discovery.needMore();
    await clock.advance(10_000);
    discovery.needMore();
    await clock.advance(20_000);
    expect(trackers.take()).toEqual(['0 a started', '20 a']);
    await clock.advance(30_000);
    discovery.needMore();
    await clock.advance(1);
    expect(trackers.take()).toEqual(['65 a']);
  });

  test('does not hurry a tracker that is left alone, nor anybody before the start', async () => {
    trackers.answers.set('a', 'down');
    make([['a']]);
    discovery.needMore();
    await clock.advance(1_000);
    expect(trackers.take()).toEqual([]);
    start();
    await clock.advance(1_000);
    for (let i = 0; i < 100; i++) {
      discovery.needMore();
      await clock.advance(10);
    }
    expect(trackers.take()).toEqual(['1 a started']);
  });
});

describe('a tracker that fails', () => {
  test('is asked again after a time that doubles, with jitter, up to half an hour', async () => {
    trackers.answers.set('a', 'down');
    make([['a']]);
    start();
    await clock.advance(4 * 3600_000);
    const times = trackers.take().map((line) => Number.parseFloat(line));
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    // Half of the time is certain, the other half is drawn: here the middle.
    expect(gaps.slice(0, 8)).toEqual([15, 30, 60, 120, 240, 480, 960, 1800].map((seconds) => seconds * 0.75));
    expect(gaps.at(-1)).toBe(1350);
    expect(outcomes[0]).toMatchObject({ url: 'http://a/announce', event: 'started', message: 'down' });
  });

  test('of our own is asked again much sooner', async () => {
    trackers.answers.set('a', 'down');
    make([['a']], { ownTrackers: true });
    start();
    await clock.advance(2_000);
    expect(trackers.take()).toEqual(['0 a started', '0.375 a started', '1.125 a started']);
    trackers.answers.set('a', reply());
    await clock.advance(10_000);
    expect(trackers.take()).toEqual(['2.625 a started']);
  });

  test('is left alone as long as it asks for, for ever if it says so (BEP 31)', async () => {
    trackers.answers.set('a', { kind: 'refusal', reason: 'busy', retryInSeconds: 600 });
    trackers.answers.set('b', {
      kind: 'refusal',
      reason: 'go away',
      retryInSeconds: Number.POSITIVE_INFINITY,
    });
    make([['a'], ['b']]);
    start();
    await clock.advance(24 * 3600_000);
    const log = trackers.take();
    expect(log.slice(0, 4)).toEqual(['0 a started', '0 b started', '600 a started', '1200 a started']);
    expect(log.filter((line) => line.includes(' b'))).toHaveLength(1);
    expect(outcomes[1]?.error?.code).toBe('TrackerRefused');
  });

  test('and is to be asked never again (BEP 31) is not, whatever happens', async () => {
    make([['a']]);
    start();
    await clock.advance(1_000);
    trackers.answers.set('a', {
      kind: 'refusal',
      reason: 'go',
      retryInSeconds: Number.POSITIVE_INFINITY,
    });
    await clock.advance(200_000);
    expect(trackers.take()).toEqual(['0 a started', '100 a']);
    left = 0;
    discovery.announce('completed');
    discovery.needMore();
    await clock.advance(3 * 24 * 3600_000);
    discovery.needMore();
    // Not even that we leave.
    const stopped = discovery.stop();
    await clock.advance(10_000);
    await stopped;
    expect(trackers.take()).toEqual([]);
    expect(outcomes.map(({ isFinal }) => isFinal)).toEqual([undefined, true]);
  });

  test('for a while only is no final failure', async () => {
    trackers.answers.set('a', { kind: 'refusal', reason: 'busy', retryInSeconds: 60 });
    make([['a']]);
    start();
    await clock.advance(1_000);
    expect(outcomes[0]).toMatchObject({ message: 'busy', isFinal: false });
  });

  test('and throws what is no TorrentError is an outcome all the same', async () => {
    make([['a']], {
      client: {
        announce() {
          throw new RangeError('a defect');
        },
      },
    });
    start();
    await clock.advance(1_000);
    expect(outcomes[0]?.error?.code).toBe('TrackerUnreachable');
  });
});

describe('what a tracker has to say', () => {
  const said = () => outcomes.flatMap(({ message, leftOut }) => [message, leftOut]).filter(Boolean);

  test('is told once, each thing of each tracker', async () => {
    trackers.answers.set('a', reply({ warning: 'old client', leftOut: 'peers6 is odd' }));
    make([['a']]);
    start();
    await clock.advance(450_000);
    expect(outcomes).toHaveLength(5);
    expect(said()).toEqual(['old client', 'peers6 is odd']);
    trackers.answers.set('a', reply({ warning: 'closing down' }));
    await clock.advance(200_000);
    trackers.answers.set('a', reply({ warning: 'old client' }));
    await clock.advance(200_000);
    expect(said()).toEqual(['old client', 'peers6 is odd', 'closing down']);
  });

  test('is not told without end where it is another text each time', async () => {
    let count = 0;
    make([['a']], { client: { announce: async () => reply({ warning: `you are number ${++count}` }) } });
    start();
    await clock.advance(3_000_000);
    expect(outcomes.length).toBeGreaterThan(20);
    expect(said()).toHaveLength(3);
  });
});

describe('tiers (BEP 12)', () => {
  test('fall over to the next tracker, and each hears started first', async () => {
    trackers.answers.set('a', 'down');
    make([['a'], ['b']]);
    start();
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['0 a started', '0 b started']);
    trackers.answers.set('a', reply());
    await clock.advance(100_000);
    // At the next announce the first tier comes first again.
    expect(trackers.take()).toEqual(['100 a started']);
  });

  test('ask the trackers of one tier in random order, and the one that answered first from then on', async () => {
    trackers.answers.set('a', 'down');
    trackers.answers.set('b', 'down');
    make([['a', 'b', 'c']], { random: () => 0.999 });
    start();
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['0 a started', '0 b started', '0 c started']);
    trackers.answers.clear();
    await clock.advance(110_000);
    expect(trackers.take()).toEqual([expect.stringMatching(/ c$/)]);
  });

  test('of our own replicas are gone back to as soon as the first answers, before the interval is over', async () => {
    trackers.answers.set('a', 'down');
    trackers.answers.set('b', reply({ intervalSeconds: 900, minIntervalSeconds: 60 }));
    make([['a'], ['b']], { ownTrackers: true });
    start();
    await clock.advance(40_000);
    const log = trackers.take();
    expect(log.slice(0, 4)).toEqual(['0 a started', '0 b started', '0.375 a started', '1.125 a started']);
    // Only the first is tried, the second not before its interval.
    expect(log.filter((line) => line.includes(' b'))).toHaveLength(1);
    trackers.answers.set('a', reply({ intervalSeconds: 900 }));
    await clock.advance(60_000);
    expect(trackers.take()).toEqual([expect.stringMatching(/ a started$/)]);
    await clock.advance(500_000);
    expect(trackers.take()).toEqual([]);
  });

  test('that begin anew are told started again, within 2 s if they are the ones to be asked', async () => {
    make([['a'], ['b']], { ownTrackers: true });
    trackers.answers.set('a', reply({ intervalSeconds: 900 }));
    start();
    await clock.advance(10_000);
    expect(trackers.take()).toEqual(['0 a started']);
    discovery.beganAnew('http://b/announce');
    discovery.beganAnew('http://unknown/announce');
    await clock.advance(10_000);
    expect(trackers.take()).toEqual([]);
    discovery.beganAnew('http://a/announce');
    await clock.advance(10_000);
    expect(trackers.take()).toEqual(['21 a started']);
  });

  test('can be replaced: the new first is asked at once, those that are gone never again', async () => {
    make([['a'], ['b']]);
    start();
    await clock.advance(1_000);
    discovery.setTiers([['http://b/announce'], ['http://c/announce']]);
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['0 a started', '1 b started']);
    discovery.setTiers([['http://b/announce'], ['http://d/announce']]);
    await clock.advance(1_000);
    expect(trackers.take()).toEqual([]);
    await discovery.stop();
    expect(trackers.take()).toEqual(['3 b stopped']);
  });

  test('of our own that hand an announce on are asked again, less and less often, until they do not', async () => {
    make([['a'], ['b']], { ownTrackers: true });
    trackers.answers.set('a', reply({ isHandedOn: true }));
    start();
    await clock.advance(10_000);
    expect(trackers.take()).toEqual(['0 a started', '2 a', '6 a']);
    trackers.answers.set('a', reply());
    await clock.advance(90_000);
    expect(trackers.take()).toEqual(['14 a']);
    trackers.answers.set('a', reply({ isHandedOn: true }));
    await clock.advance(17_000);
    expect(trackers.take()).toEqual(['114 a', '116 a']);
  });

  test('of others may say what they like of handing on', async () => {
    make([['a']]);
    trackers.answers.set('a', reply({ isHandedOn: true }));
    start();
    await clock.advance(50_000);
    expect(trackers.take()).toEqual(['0 a started']);
  });

  test('that are replaced while one of them is asked are asked anew', async () => {
    make([['a']]);
    start();
    const gate = clock.advance(0);
    discovery.setTiers([['http://b/announce']]);
    await gate;
    await clock.advance(1_000);
    const log = trackers.take();
    expect(log).toContain('0 b started');
    expect(log).not.toContain('0 a stopped');
  });

  test('may be empty at first', async () => {
    make([]);
    start();
    await clock.advance(1_000);
    discovery.needMore();
    await clock.advance(1_000);
    expect(trackers.take()).toEqual([]);
    discovery.setTiers([['http://a/announce']]);
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['2 a started']);
  });

  test('name no tracker twice', async () => {
    trackers.answers.set('a', 'down');
    make([['a', 'a'], ['a']]);
    start();
    await clock.advance(1_000);
    expect(trackers.take()).toEqual(['0 a started']);
  });
});

describe('stop', () => {
  test('tells every tracker that knows us, and nobody else, and calls nothing afterwards', async () => {
    trackers.answers.set('a', 'down');
    make([['a'], ['b'], ['c']]);
    start();
    await clock.advance(1_000);
    trackers.answers.set('a', reply());
    await clock.advance(100_000);
    trackers.take();
    lists.length = 0;
    const stopped = discovery.stop();
    await clock.advance(0);
    await stopped;
    expect(trackers.take()).toEqual(['101 a stopped', '101 b stopped']);
    expect(trackers.requests.at(-1)?.numwant).toBe(0);
    discovery.needMore();
    discovery.announce('completed');
    await clock.advance(1_000_000);
    expect([trackers.log, lists]).toEqual([[], []]);
  });

  test('takes 2 s at most', async () => {
    make([['a']]);
    start();
    await clock.advance(1_000);
    trackers.answers.set('a', 'hangs');
    let isStopped = false;
    const stopped = discovery.stop().then(() => {
      isStopped = true;
    });
    await clock.advance(1_900);
    expect(isStopped).toBe(false);
    await clock.advance(200);
    await stopped;
    expect(isStopped).toBe(true);
  });

  test('gives up an announce under way, and takes leave of that tracker', async () => {
    trackers.answers.set('a', 'hangs');
    make([['a']]);
    start();
    await clock.advance(1_000);
    trackers.answers.set('a', reply());
    const stopped = discovery.stop();
    await clock.advance(0);
    await stopped;
    expect(trackers.take()).toEqual(['0 a started', '1 a stopped']);
    expect(lists).toEqual([]);
  });

  test('before the start, and twice, does nothing', async () => {
    make([['a']]);
    await discovery.stop();
    start();
    await clock.advance(1_000);
    await discovery.stop();
    expect(trackers.log).toEqual([]);
  });
});
