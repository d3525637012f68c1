import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { LeaderElector } from '../../kube/leader-elector.ts';
import { FakeClock, settle } from '../base/fake-clock.ts';
import { recordingLogger } from './logs.ts';

interface Lease {
  metadata: { name?: string; resourceVersion?: string; ownerReferences?: object[] };
  spec?: { holderIdentity?: string; leaseTransitions?: number; leaseDurationSeconds?: number };
}

/** A Lease on an imagined API server, with optimistic locking; `reaches` cuts replicas off from it. */
class OneLease {
  lease: Lease | undefined;
  #version = 0;
  readonly cutOff = new Set<string>();
  readonly hanging = new Set<string>();

  #put(lease: Lease): Lease {
    this.#version += 1;
    const metadata = { ...lease.metadata, resourceVersion: String(this.#version) };
    this.lease = { ...structuredClone(lease), metadata };
    return structuredClone(this.lease);
  }

  /** As much of a client as an elector uses. */
  clientOf(identity: string): KubeClient {
    const call = async <R>(work: () => R): Promise<R> => {
      if (this.hanging.has(identity)) await new Promise(() => {});
      if (this.cutOff.has(identity)) throw new KubeError(0, 'Unreachable', 'cut off');
      return work();
    };
    const resource = {
      get: () =>
        call(() => {
          if (this.lease === undefined) throw new KubeError(404, 'NotFound', 'no lease');
          return structuredClone(this.lease);
        }),
      create: (lease: Lease) =>
        call(() => {
          if (this.lease !== undefined) throw new KubeError(409, 'AlreadyExists', 'there is one');
          return this.#put(lease);
        }),
      update: (lease: Lease) =>
        call(() => {
          if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
            throw new KubeError(409, 'Conflict', 'written in between');
          return this.#put(lease);
        }),
    };
    return { resource: () => resource } as unknown as KubeClient;
  }
}

function replica(api: OneLease, clock: FakeClock, identity: string, leading: Set<string>) {
  const end = new AbortController();
  const elector = new LeaderElector({
    client: api.clientOf(identity),
    namespace: 'n',
    name: 'l',
    identity,
    logger: recordingLogger(),
    clock,
    random: () => 0.5,
  });
  let stops = 0;
  const done = elector.run(
    {
      onStartedLeading: (signal) => {
        leading.add(identity);
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            leading.delete(identity);
            resolve();
          });
        });
      },
      onStoppedLeading: () => {
        stops += 1;
      },
    },
    end.signal,
  );
  return { done, stop: () => end.abort(), stops: () => stops };
}

describe('LeaderElector', () => {
  test('makes the lease and leads; a second replica waits, and leads at once when the first lets go', async () => {
    const [api, clock, leading] = [new OneLease(), new FakeClock(), new Set<string>()];
    const first = replica(api, clock, 'first', leading);
    await clock.advance(100);
    const second = replica(api, clock, 'second', leading);
    await clock.advance(60_000);
    expect([...leading]).toEqual(['first']);
    first.stop();
    await first.done;
    expect(first.stops()).toBe(1);
    expect(api.lease?.spec?.holderIdentity).toBe('');
    await clock.advance(3000);
    expect([...leading]).toEqual(['second']);
    expect(api.lease?.spec?.leaseTransitions).toBe(1);
    second.stop();
    await second.done;
  });

  test.each(['cutOff', 'hanging'] as const)(
    'stops leading in time when the API server cannot be reached (%s)',
    async (way) => {
      const [api, clock, leading] = [new OneLease(), new FakeClock(), new Set<string>()];
      const first = replica(api, clock, 'first', leading);
      await clock.advance(100);
      const second = replica(api, clock, 'second', leading);
      await clock.advance(20_000);
      api[way].add('first');
      await clock.advance(8000);
      expect([...leading]).toEqual(['first']);
      await clock.advance(3000);
      expect([...leading]).toEqual([]);
      await first.done;
      await clock.advance(8000);
      expect([...leading]).toEqual(['second']);
      second.stop();
      await second.done;
    },
  );

  test('gives the lease its owner when it makes it, and when it takes it over', async () => {
    const [api, clock] = [new OneLease(), new FakeClock()];
    const owners = ['one', 'two'].map((uid) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'd',
      uid,
    }));
    for (const owner of owners) {
      const end = new AbortController();
      const elector = new LeaderElector({
        client: api.clientOf(owner.uid),
        namespace: 'n',
        name: 'l',
        identity: owner.uid,
        logger: recordingLogger(),
        clock,
        owner: async () => owner,
      });
      const onStartedLeading = (signal: AbortSignal) =>
        new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      const run = elector.run({ onStartedLeading, onStoppedLeading: () => {} }, end.signal);
      await clock.advance(5000);
      expect(api.lease?.spec?.holderIdentity).toBe(owner.uid);
      expect(api.lease?.metadata.ownerReferences).toEqual([owner]);
      end.abort();
      await run;
    }
  });

  test('ends with the error of work that fails by itself, and lets go', async () => {
    const [api, clock] = [new OneLease(), new FakeClock()];
    const elector = new LeaderElector({
      client: api.clientOf('a'),
      namespace: 'n',
      name: 'l',
      identity: 'a',
      logger: recordingLogger(),
      clock,
    });
    const run = elector.run(
      { onStartedLeading: () => Promise.reject(new Error('a defect')), onStoppedLeading: () => {} },
      new AbortController().signal,
    );
    const failed = expect(run).rejects.toThrow('a defect');
    await clock.advance(5000);
    await failed;
    expect(api.lease?.spec?.holderIdentity).toBe('');
  });

  test('there are never two leaders, and there is one again once the trouble is over', async () => {
    const names = ['a', 'b', 'c'];
    const step = fc.record({
      replica: fc.constantFrom(...names),
      do: fc.constantFrom('cutOff' as const, 'reach' as const, 'stop' as const, 'start' as const),
      wait: fc.nat({ max: 20_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const [api, clock, leading] = [new OneLease(), new FakeClock(), new Set<string>()];
        const alive = new Map<string, ReturnType<typeof replica>>();
        let generation = 0;
        const start = (name: string) => {
          generation += 1;
          const identity = `${name}-${generation}`;
          const started = replica(api, clock, identity, leading);
          alive.set(name, started);
          void started.done.then(() => {
            if (alive.get(name) === started) alive.delete(name);
          });
        };
        for (const name of names) start(name);
        for (const now of steps) {
          if (now.do === 'cutOff')
            for (let n = 1; n <= generation; n += 1) api.cutOff.add(`${now.replica}-${n}`);
          else if (now.do === 'reach') api.cutOff.clear();
          else if (now.do === 'stop') alive.get(now.replica)?.stop();
          else if (!alive.has(now.replica)) start(now.replica);
          for (let waited = 0; waited <= now.wait; waited += 1000) {
            await clock.advance(1000);
            expect(leading.size).toBeLessThanOrEqual(1);
          }
        }
        api.cutOff.clear();
        await settle();
        for (const name of names) if (!alive.has(name)) start(name);
        await clock.advance(40_000);
        expect(leading.size).toBe(1);
        for (const { stop } of alive.values()) stop();
        await clock.advance(1000);
      }),
      { numRuns: 25 },
    );
  });
});
