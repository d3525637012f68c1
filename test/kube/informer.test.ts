import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KubeError } from '../../kube/errors.ts';
import { Informer } from '../../kube/informer.ts';
import { FakeClock, settle } from '../base/fake-clock.ts';
import { recordingLogger } from './logs.ts';
import { ScriptedApi, type Thing } from './scripted-api.ts';

const running: Informer<Thing>[] = [];
afterEach(() => {
  for (const informer of running.splice(0)) informer.stop();
});

function setUp(api = new ScriptedApi()) {
  const clock = new FakeClock();
  const logger = recordingLogger();
  const informer = new Informer<Thing>({ resource: api, logger, clock, random: () => 1 });
  running.push(informer);
  const told: string[] = [];
  informer.addHandler({
    onAdd: ({ metadata }) => told.push(`+${metadata.name} ${metadata.uid}`),
    onUpdate: ({ metadata }, before) =>
      told.push(`~${metadata.name} ${before.metadata.resourceVersion}→${metadata.resourceVersion}`),
    onDelete: ({ metadata }, { finalStateUnknown }) =>
      told.push(`-${metadata.name} ${metadata.uid}${finalStateUnknown ? ' unseen' : ''}`),
  });
  return { api, clock, logger, informer, told };
}

describe('Informer', () => {
  test('lists, tells, and only then has synced', async () => {
    const { api, informer, told } = setUp();
    api.put('a');
    expect(informer.hasSynced).toBe(false);
    informer.start();
    await informer.synced();
    expect(informer.hasSynced).toBe(true);
    expect(told).toEqual(['+a uid-1']);
    expect(informer.get('a')?.metadata.uid).toBe('uid-1');
  });

  test('tells of changes with what was before', async () => {
    const { api, informer, told } = setUp();
    informer.start();
    await informer.synced();
    api.put('a');
    api.put('a');
    api.remove('a');
    await settle();
    expect(told).toEqual(['+a uid-1', '~a 11→12', '-a uid-1']);
    expect(informer.list()).toEqual([]);
  });

  test('tells a late listener what is there', async () => {
    const { api, informer } = setUp();
    api.put('a');
    informer.start();
    await informer.synced();
    const late: string[] = [];
    const leave = informer.addHandler({ onAdd: ({ metadata }) => late.push(metadata.name) });
    expect(late).toEqual(['a']);
    leave();
    api.put('b');
    await settle();
    expect(late).toEqual(['a']);
  });

  test('goes on from where it was when a watch is cut, without listing', async () => {
    const { api, clock, informer, told } = setUp();
    informer.start();
    await informer.synced();
    api.cut();
    await settle();
    api.put('a');
    api.remove('a');
    await clock.advance(1000);
    expect(told).toEqual(['+a uid-1', '-a uid-1']);
    expect(api.lists).toBe(1);
    expect(api.watches).toBe(2);
  });

  test.each([
    ['with a bookmark', true, 1],
    ['without one', false, 2],
  ])('lists anew after a compaction only where it must: %s', async (_, withBookmark, lists) => {
    const { api, clock, informer } = setUp();
    informer.start();
    await informer.synced();
    api.changeOthers();
    if (withBookmark) api.bookmark();
    await settle();
    api.compact();
    await clock.advance(10_000);
    expect(api.lists).toBe(lists);
  });

  test('lists anew after 410, and says that it did not see the end of what is gone', async () => {
    const { api, clock, informer, told } = setUp();
    api.put('gone');
    api.put('anew');
    informer.start();
    await informer.synced();
    told.splice(0);
    api.compact();
    await settle();
    api.remove('gone');
    api.remove('anew');
    api.put('anew');
    api.compact();
    await clock.advance(5000);
    expect(told).toEqual(['-gone uid-1 unseen', '-anew uid-2 unseen', '+anew uid-3']);
  });

  test('waits as long as a server that is too busy asks', async () => {
    const { api, clock, informer } = setUp();
    api.listFailures.push(new KubeError(429, 'TooManyRequests', 'later', { retryAfterSeconds: 7 }));
    informer.start();
    await clock.advance(6900);
    expect(api.lists).toBe(1);
    await clock.advance(200);
    expect(api.lists).toBe(2);
    expect(informer.hasSynced).toBe(true);
  });

  test('tries on while the API server is away, ever more slowly, and warns now and then', async () => {
    const { api, clock, informer, logger } = setUp();
    const away = () => new KubeError(0, 'Unreachable', 'connection refused');
    api.listFailures.push(...Array.from({ length: 200 }, away));
    informer.start();
    await clock.advance(30_000);
    const early = api.lists;
    expect(early).toBeGreaterThanOrEqual(5);
    await clock.advance(600_000);
    expect(api.lists - early).toBeLessThanOrEqual(31); // Every 20 s at the most, and not never.
    expect(api.lists - early).toBeGreaterThanOrEqual(29);
    api.listFailures.splice(0);
    await clock.advance(20_000);
    expect(informer.hasSynced).toBe(true);
    // At once, after 5 minutes, after 10.
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(3);
    expect(logger.lines.filter(({ level }) => level === 'info')).toHaveLength(1);
  });

  test('outlives a listener that fails', async () => {
    const { api, informer, logger, told } = setUp();
    informer.addHandler({
      onAdd: () => {
        throw new Error('a defect');
      },
    });
    informer.start();
    await informer.synced();
    api.put('a');
    api.put('b');
    await settle();
    expect(told).toEqual(['+a uid-1', '+b uid-2']);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
  });

  test('is silent once stopped, and who waited for it hears of it', async () => {
    const { api, informer, told } = setUp();
    const waiting = expect(informer.synced()).rejects.toThrow(/stopped/);
    informer.start();
    informer.stop();
    api.put('a');
    await settle();
    await waiting;
    expect(told).toEqual([]);
  });

  test('stops waiting when the one who waits gives up', async () => {
    const { informer } = setUp();
    const patience = new AbortController();
    const waiting = informer.synced(patience.signal);
    patience.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  test('ends with what the server has, each life told in order, whatever happens in between', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.constantFrom('a', 'b', 'c') }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom('a', 'b', 'c') }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constantFrom('cut' as const, 'compact' as const, 'bookmark' as const, 'fail' as const),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('wait' as const), milliseconds: fc.nat({ max: 3000 }) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { api, clock, informer, logger } = setUp();
        const alive = new Map<string, string>();
        informer.addHandler({
          onAdd: ({ metadata }) => {
            expect(alive.has(metadata.name)).toBe(false);
            alive.set(metadata.name, metadata.uid);
          },
          onUpdate: ({ metadata }, before) => {
            expect(alive.get(metadata.name)).toBe(metadata.uid);
            expect(before.metadata.uid).toBe(metadata.uid);
          },
          onDelete: ({ metadata }) => {
            expect(alive.get(metadata.name)).toBe(metadata.uid);
            alive.delete(metadata.name);
          },
        });
        informer.start();
        for (const now of steps) {
          if (now.do === 'put') api.put(now.name);
          else if (now.do === 'remove') api.remove(now.name);
          else if (now.do === 'cut') api.cut();
          else if (now.do === 'compact') {
            api.changeOthers();
            api.compact();
          } else if (now.do === 'bookmark') api.bookmark();
          else if (now.do === 'fail') api.watchFailures.push(new KubeError(0, 'Unreachable', 'no'));
          else if (now.do === 'wait') await clock.advance(now.milliseconds);
        }
        await clock.advance(120_000);
        const expected = [...api.state.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
        const got = informer.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
        expect(got).toEqual(expected);
        expect([...alive].sort()).toEqual(expected.map(({ metadata }) => [metadata.name, metadata.uid]));
        informer.stop();
        // What a listener throws is logged, not thrown: an expectation of those above would be there.
        expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
