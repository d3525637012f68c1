// The operator as a whole, level-driven: whatever happens, in whatever order, with watches that lag, calls that
// fail before or after they took effect, operators that crash and two that write at once, it comes to the same.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ContentDistributionSpec, ContentRevision } from '../../../api/index.ts';
import { digestOf, type SimulatedOperator, World } from './world.ts';

const source = (name: string): ContentDistributionSpec['source'] => ({
  http: { files: [{ path: 'a', url: `https://example.com/${name}` }] },
});
const condition = (world: World, type: string) =>
  world.distribution?.status?.conditions?.find((one) => one.type === type);

async function settled(world: World): Promise<World> {
  await world.settle();
  world.check();
  return world;
}

function withOperator(nodes = 3): { world: World; operator: SimulatedOperator } {
  const world = new World(nodes);
  return { world, operator: world.startOperator() };
}

test('one distribution comes to be on every node, is Ready, and leaves nothing behind', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a') });
  await settled(world);
  expect(world.events.map(({ reason }) => reason)).toEqual([
    'RevisionCreated',
    'Published',
    'Distributed',
    'Ready',
  ]);
});

test('a source that fails is told of, tried again, and its events number the attempts', async () => {
  const { world } = withOperator();
  world.sourceFailures = 3;
  world.apply({ source: source('a') });
  await settled(world);
  const warnings = world.events.filter(({ type }) => type === 'Warning');
  expect(warnings).toEqual(
    [1, 2, 3].map((attempt) => ({
      type: 'Warning',
      reason: 'SourceServerError',
      message: `attempt ${attempt}: 503`,
    })),
  );
});

test('an old revision stays active while its successor cannot be read', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a') });
  await settled(world);
  world.sourceFailures = 1_000_000;
  world.apply({ source: source('b') });
  await world.settle(30);
  expect(condition(world, 'Published')).toMatchObject({ status: 'False', reason: 'SourceServerError' });
  expect(world.distribution?.status?.revision?.active).toBe(digestOf(await state('a')).slice(7, 19));
  expect(world.api.list<ContentRevision>('ContentRevision')).toHaveLength(1);
  world.sourceFailures = 0;
  await settled(world);
});

async function state(name: string): Promise<string> {
  const { sourceState } = await import('../../../api/index.ts');
  return sourceState(source(name));
}

test('a namespace that was just made takes no Pod for a moment, of which nobody is told', async () => {
  const { world, operator } = withOperator();
  let isNew = true;
  world.api.interference = ({ kind, verb }) =>
    isNew && kind === 'Pod' && verb === 'create' ? 'refuse' : 'none';
  world.apply({ source: source('a') });
  await operator.reconcile();
  operator.catchUp();
  await operator.reconcile();
  world.clock.skip(500);
  isNew = false;
  await settled(world);
  expect(world.events.filter(({ type }) => type === 'Warning')).toEqual([]);
});

test('a Pod that is refused again and again is told of', async () => {
  const { world } = withOperator();
  world.api.interference = ({ kind, verb }) => (kind === 'Pod' && verb === 'create' ? 'refuse' : 'none');
  world.apply({ source: source('a') });
  await world.settle(10);
  expect(condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'PublisherRejected' });
  world.api.interference = () => 'none';
  await settled(world);
});

test('an update while the first is still being read gives the second alone', async () => {
  const { world, operator } = withOperator();
  world.apply({ source: source('a') });
  await operator.reconcile();
  operator.catchUp();
  await operator.reconcile();
  world.stepPods();
  world.apply({ source: source('b') });
  await settled(world);
  expect(world.api.list('ContentRevision')).toHaveLength(1);
});

test('going back to an earlier source reads nothing again', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a') });
  await settled(world);
  world.apply({ source: source('b') });
  await settled(world);
  const pods = world.api.changes.filter(({ kind }) => kind === 'Pod').length;
  world.apply({ source: source('a') });
  await settled(world);
  expect(world.api.changes.filter(({ kind }) => kind === 'Pod')).toHaveLength(pods);
});

test('going back is Ready only once nodes show the earlier revision again', async () => {
  const { world, operator } = withOperator();
  world.apply({ source: source('a') });
  await settled(world);
  world.apply({ source: source('b') });
  await settled(world);
  world.apply({ source: source('a') });
  for (let round = 0; round < 3; round += 1) {
    operator.catchUp();
    await operator.reconcile();
  }
  expect(world.distribution?.status?.observedGeneration).toBe(world.distribution?.metadata.generation);
  expect(condition(world, 'Ready')?.status).toBe('False');
  await settled(world);
});

test('an operator that dies between any two calls is followed by one that goes on', async () => {
  // As many worlds as the whole story has calls: in each the operator dies at another one.
  for (let fatal = 1; fatal < 60; fatal += 1) {
    const world = new World(2);
    let calls = 0;
    let dead = false;
    world.api.interference = () => {
      calls += 1;
      if (calls === fatal) dead = true;
      return dead ? 'fail-before' : 'none';
    };
    world.startOperator();
    world.apply({ source: source('a'), claim: { name: 'weights' } });
    await world.settle(12);
    world.api.interference = () => 'none';
    world.operators = [];
    world.startOperator();
    await settled(world);
    if (!dead) return;
  }
});

test('a distribution deleted and made anew under its name gets revisions of its own', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a'), claim: { name: 'weights' } });
  await settled(world);
  const before = world.api.list('ContentRevision')[0]?.metadata.uid;
  world.deleteDistribution();
  world.apply({ source: source('a'), claim: { name: 'weights' } });
  await settled(world);
  expect(world.api.list('ContentRevision')[0]?.metadata.uid).not.toBe(before);
});

test('deleting it removes every object', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a'), claim: { name: 'weights' } });
  await settled(world);
  world.deleteDistribution();
  await settled(world);
});

test('a pool that was scaled to zero is filled again from the source', async () => {
  const { world } = withOperator();
  world.apply({ source: source('a') });
  await settled(world);
  for (const name of ['node-0', 'node-1', 'node-2']) world.removeNode(name);
  await world.settle(5);
  world.addNode('node-7');
  world.addNode('node-8');
  await settled(world);
  expect(world.api.list('ContentRevision')).toHaveLength(1);
});

test('every node full: it says so with numbers, and goes on once there is room', async () => {
  const { world } = withOperator();
  for (const name of ['node-0', 'node-1', 'node-2']) world.full.add(name);
  world.apply({ source: source('a') });
  await world.settle(30);
  expect(condition(world, 'Published')).toMatchObject({
    status: 'False',
    reason: 'InsufficientStorage',
    message: expect.stringContaining('needs 1, has 0'),
  });
  expect(condition(world, 'Stalled')?.status).toBe('True');
  world.full.clear();
  await settled(world);
});

test('one node of three that can receive is found, whatever is wrong with the others', async () => {
  for (const good of ['node-0', 'node-1', 'node-2']) {
    const { world } = withOperator();
    const [first, second] = ['node-0', 'node-1', 'node-2'].filter((name) => name !== good);
    world.broken.add(first!);
    world.unreachable.add(second!);
    world.apply({ source: source('a') });
    await settled(world);
  }
});

describe('in whatever order things happen', () => {
  type Step = (world: World, number: number) => void | Promise<void>;
  const operatorOf = (world: World, number: number) => world.operators[number % world.operators.length]!;
  const nodeOf = (world: World, number: number) => {
    const nodes = world.api.list('Node');
    return nodes[number % Math.max(nodes.length, 1)]?.metadata.name ?? 'none';
  };
  const edit = (world: World, change: Partial<ContentDistributionSpec>) =>
    world.apply({ ...(world.distribution?.spec ?? { source: source('a') }), ...change });

  const steps: Record<string, Step> = {
    reconcile: (world, number) => operatorOf(world, number).reconcile(),
    reconcileAgain: (world, number) => operatorOf(world, number + 1).reconcile(),
    sweep: (world, number) => operatorOf(world, number).sweep(),
    seeSome: (world, number) => operatorOf(world, number).catchUp(1 + (number % 5)),
    seeAll: (world, number) => operatorOf(world, number).catchUp(),
    pods: (world) => world.stepPods(),
    agent: (world, number) => world.stepAgent(nodeOf(world, number)),
    agents: (world) => {
      for (const { metadata } of world.api.list('Node')) world.stepAgent(metadata.name);
    },
    restartAgent: (world, number) => world.startAgent(nodeOf(world, number)),
    loseNode: (world, number) => world.setReady(nodeOf(world, number), false),
    removeNode: (world, number) => {
      if (world.api.list('Node').length > 1) world.removeNode(nodeOf(world, number));
    },
    crash: (world, number) => {
      world.operators.splice(number % world.operators.length, 1);
      world.startOperator();
    },
    editSource: (world, number) => edit(world, { source: source(['a', 'b', 'c'][number % 3]!) }),
    suspend: (world, number) => edit(world, { suspend: number % 2 === 0 }),
    claim: (world, number) => {
      const { claim: _, ...spec } = world.distribution?.spec ?? { source: source('a') };
      world.apply(number % 2 === 0 ? spec : { ...spec, claim: { name: 'weights' } });
    },
    placement: (world, number) => {
      const { placement: _, ...spec } = world.distribution?.spec ?? { source: source('a') };
      world.apply(number % 2 === 0 ? spec : { ...spec, placement: { nodeSelector: { half: 'b' } } });
    },
    retention: (world, number) => edit(world, { retention: { revisions: 1 + (number % 3) } }),
    remake: (world) => {
      world.deleteDistribution();
      world.apply({ source: source('a') });
    },
    deletePublisher: (world) => {
      const pod = world.api
        .list('Pod')
        .find(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'publisher');
      if (pod !== undefined) world.api.erase('Pod', `${pod.metadata.namespace}/${pod.metadata.name}`);
    },
    deleteClaim: (world) => {
      const claim = world.api.list('PersistentVolumeClaim')[0];
      if (claim !== undefined) world.api.erase('PersistentVolumeClaim', `ml/${claim.metadata.name}`);
    },
    failSource: (world, number) => {
      world.sourceFailures = number % 4;
    },
    fillNode: (world, number) => {
      world.full.add(nodeOf(world, number));
    },
    breakDisk: (world, number) => {
      world.broken.add(nodeOf(world, number));
    },
    hideNode: (world, number) => {
      world.unreachable.add(nodeOf(world, number));
    },
    garbage: (world) => world.api.collectGarbage(),
    time: (world, number) => {
      world.clock.skip(1000 * (1 + (number % 200)));
    },
  };
  // What moves things on happens more often than what disturbs them.
  const usual = ['reconcile', 'reconcileAgain', 'seeAll', 'seeSome', 'pods', 'agents', 'agent', 'time'];
  const anyStep = fc.tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...usual) },
      { weight: 1, arbitrary: fc.constantFrom(...Object.keys(steps)) },
    ),
    fc.nat({ max: 1000 }),
  );

  test('it converges, and no epoch ever falls', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyStep, { maxLength: 120 }),
        fc.infiniteStream(fc.nat({ max: 99 })),
        async (story, luck) => {
          const world = new World(4);
          world.startOperator();
          world.startOperator();
          world.apply({ source: source('a') });
          world.api.interference = () => {
            const drawn = luck.next().value as number;
            return drawn < 4 ? 'fail-before' : drawn < 8 ? 'fail-after' : 'none';
          };
          for (const [name, number] of story) await steps[name]!(world, number);

          // Now let it be: everything works, somebody wants the content, one operator is enough.
          world.api.interference = () => 'none';
          for (const trouble of [world.full, world.broken, world.unreachable]) trouble.clear();
          world.sourceFailures = 0;
          for (const { metadata } of world.api.list('Node')) world.setReady(metadata.name, true);
          if (world.api.list('Node').every(({ metadata }) => metadata.name.endsWith('0')))
            world.addNode('node-9');
          edit(world, { suspend: false });
          await world.settle();
          world.check();
          const epochs = new Map<string, number>();
          for (const { kind, key, object } of world.api.changes) {
            if (kind !== 'ContentRevision' || object === undefined) continue;
            const { epoch } = (object as unknown as ContentRevision).spec.activation;
            const id = `${key} ${object.metadata.uid}`;
            expect(epoch).toBeGreaterThanOrEqual(epochs.get(id) ?? 0);
            epochs.set(id, epoch);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
