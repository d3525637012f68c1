// From a distribution to content on every node, with the operator as it is run, on a real API server.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ContentDistributionSpec, NODE_CONTENT, sourceState } from '../../../api/index.ts';
import { DEPLOYMENTS, SERVICES } from '../../../kube/index.ts';
import { until } from '../../base/until.ts';
import { PATIENCE } from '../../patience.ts';
import { NAMESPACE } from '../chart/render.ts';
import { type Replica, Stage } from './stage.ts';

const MIB = 1024 * 1024;
const source = (name: string): ContentDistributionSpec['source'] => ({
  http: { files: [{ path: 'weights', url: `https://models.example.com/${name}` }] },
});
/** What the source of a name gives. */
const digestOf = (name: string) =>
  `sha256:${createHash('sha256')
    .update(sourceState(source(name)))
    .digest('hex')}`;
const revisionOf = (name: string) => digestOf(name).slice(7, 19);

let stage: Stage;
let first: Replica;
let second: Replica;

/** Lets every publication of these sources end well, and those of no other. */
function release(...names: string[]): void {
  const states = new Map(names.map((name) => [sourceState(source(name)), digestOf(name)]));
  stage.cluster.receive = (reservation) => {
    const digest = states.get(reservation.sourceState);
    return digest === undefined ? 'more' : { digest, sizeBytes: 3 * MIB };
  };
}

beforeAll(async () => {
  stage = await Stage.open();
  first = await stage.startOperator('operator-a');
  second = await stage.startOperator('operator-b');
  await until('a replica leads', async () => (await stage.leader()) !== '');
}, 180_000);

afterAll(async () => {
  await stage?.close();
});

test('one of two replicas leads, and makes the trackers', async () => {
  const leading = () =>
    stage.replicas.filter(({ lines }) => lines.some(({ message }) => message === 'leading'));
  expect(leading()).toHaveLength(1);
  const owner = await stage.api.admin
    .resource<{ metadata: { uid: string } }>(DEPLOYMENTS)
    .get('enxame-operator', { namespace: NAMESPACE });
  for (const name of ['enxame-tracker-0', 'enxame-tracker-1'])
    for (const type of [DEPLOYMENTS, SERVICES]) {
      const made = await until(`${type.kind} ${name}`, () =>
        stage.api.admin
          .resource<{ metadata: object }>(type)
          .get(name, { namespace: NAMESPACE })
          .catch(() => undefined),
      );
      expect(made).toMatchObject({ metadata: { ownerReferences: [{ uid: owner.metadata.uid }] } });
    }
  expect(leading()).toHaveLength(1);
});

describe('a distribution', () => {
  test('is reserved a place, and a Pod that "restricted" lets in reads its source', async () => {
    const { metadata } = await stage.apply('model', { source: source('one') });
    const reservation = await stage.receiving('model');
    const [pod, ...more] = await stage.publishers('model');
    expect(more).toEqual([]);
    expect(reservation).toMatchObject({
      uid: metadata.uid,
      attempt: 1,
      podNamespace: 'ml',
      podName: pod?.metadata?.name,
      podUID: pod?.metadata?.uid,
    });
    expect(pod).toMatchObject({
      metadata: { ownerReferences: [{ uid: metadata.uid, controller: true }] },
      spec: { automountServiceAccountToken: false, activeDeadlineSeconds: 86_400, restartPolicy: 'Never' },
    });
    expect(
      await stage.becomes('model', 'Published', { status: 'Unknown', reason: 'Publishing' }),
    ).toMatchObject({
      message: expect.stringContaining(reservation.node),
    });
    expect(await stage.condition('model', 'Ready')).toMatchObject({ status: 'Unknown' });
    await until('every node is counted', async () => {
      const { nodes } = (await stage.distribution('model')).status ?? {};
      return nodes?.selected === 3 && nodes.pending === 3;
    });
  });

  test('goes on with the same attempt when the operator that began it ends', async () => {
    const before = await stage.receiving('model');
    const leader = await stage.leader();
    const [old, next] = first.name === leader ? [first, second] : [second, first];
    expect(await old.stop()).toBe(0);
    await until('the other replica leads', async () => (await stage.leader()) === next.name);
    await until('it has looked at the distribution', () =>
      next.lines.some(({ message }) => message === 'this replica leads'),
    );
    release('one');
    await stage.becomes('model', 'Published', { status: 'True' });
    const made = next.lines.filter(({ message }) => message === 'made a publisher Pod');
    expect(made).toEqual([]);
    expect(before.attempt).toBe(1);
    await stage.startOperator('operator-c');
  });

  test('becomes a revision that every node activates', async () => {
    await stage.api.kubectl(
      ...[
        'wait',
        'contentdistribution/model',
        '--namespace=ml',
        '--for=condition=Ready',
        `--timeout=${PATIENCE * 30}s`,
      ],
    );
    const [revision, ...more] = await stage.revisions('model');
    const { metadata, status } = await stage.distribution('model');
    expect(more).toEqual([]);
    expect(revision).toMatchObject({
      metadata: {
        name: `model-${revisionOf('one')}`,
        ownerReferences: [{ uid: metadata.uid, controller: true }],
      },
      spec: {
        ...{ distributionUID: metadata.uid, distribution: 'model', sequence: 1, activation: { epoch: 1 } },
        ...{ digest: digestOf('one'), sourceState: sourceState(source('one')), sizeBytes: 3 * MIB },
        ...{ paused: false, onDelete: 'Delete', swarm: { policy: 'Cluster' } },
      },
    });
    await stage.becomes('model', 'Activated', { status: 'True' });
    await until('every node is counted', async () => {
      const { nodes } = (await stage.distribution('model')).status ?? {};
      return nodes?.held === 3 && nodes.active === 3 && nodes.selected === 3;
    });
    expect(status?.revision?.desired).toBe(revisionOf('one'));
    for (const type of ['Distributed', 'Activated'])
      expect(await stage.condition('model', type)).toMatchObject({ status: 'True' });
    for (const type of ['Degraded', 'NoProgress', 'Stalled', 'Reconciling'])
      expect(await stage.condition('model', type)).toMatchObject({ status: 'False' });
    const reasons = (await stage.events(metadata.uid)).map(({ reason }) => reason);
    expect(reasons.sort()).toEqual(['Distributed', 'Published', 'Ready', 'RevisionCreated']);
  });

  test('keeps neither reservation nor Pod afterwards', async () => {
    await until('the reservation is released', async () => (await stage.reservations('model')).length === 0);
    await until('the Pod is gone', async () => (await stage.publishers('model')).length === 0);
  });

  test('shows in kubectl how it is', async () => {
    const table = await stage.api.kubectl('get', 'cdist', 'model', '--namespace=ml');
    expect(table).toMatch(/NAME +READY +NODES +PROGRESS +SIZE +ETA +REVISION +AGE/);
    expect(table).toMatch(new RegExp(`model +True +3/3 +100% +3\\.0 MiB .*${revisionOf('one')}`));
  });
});

describe('a new source', () => {
  test('that fails is told of, and the old revision stays active', async () => {
    stage.cluster.receive = ({ attempt }) =>
      attempt === 1 ? { reason: 'SourceNotFound', message: 'https://models.example.com/two: 404' } : 'more';
    const { metadata } = await stage.apply('model', { source: source('two') });
    const published = await stage.becomes('model', 'Published', {
      status: 'False',
      reason: 'SourceNotFound',
    });
    expect(published.message).toBe('attempt 1: https://models.example.com/two: 404');
    expect(await stage.condition('model', 'Stalled')).toMatchObject({
      status: 'True',
      reason: 'SourceNotFound',
    });
    expect(await stage.condition('model', 'Ready')).toMatchObject({ status: 'False' });
    expect((await stage.distribution('model')).status?.revision).toMatchObject({
      active: revisionOf('one'),
    });
    const warning = await until('an event tells of it', async () =>
      (await stage.events(metadata.uid)).find(({ type }) => type === 'Warning'),
    );
    expect(warning).toMatchObject({ reason: 'SourceNotFound', note: published.message });
    const [revision, ...more] = await stage.revisions('model');
    expect([revision?.spec.revision, more]).toEqual([revisionOf('one'), []]);
  });

  test('is tried again, on the node that has its bytes so far', async () => {
    const [before] = await stage.reservations('model');
    const after = await until('a second attempt', async () =>
      (await stage.reservations('model')).find(({ attempt }) => attempt === 2),
    );
    expect(after.node).toBe(before?.node);
    release('two');
    await stage.becomes('model', 'Ready', { status: 'True' });
    const revisions = await stage.revisions('model');
    expect(revisions.map(({ spec }) => [spec.revision, spec.sequence, spec.activation.epoch])).toEqual([
      [revisionOf('one'), 1, 1],
      [revisionOf('two'), 2, 2],
    ]);
    expect(await stage.condition('model', 'Stalled')).toMatchObject({ status: 'False' });
  });

  test('pushes out what is older than retention keeps', async () => {
    release('three');
    await stage.apply('model', { source: source('three') });
    await stage.becomes('model', 'Ready', { status: 'True' });
    await until('the oldest revision is gone', async () => {
      const revisions = await stage.revisions('model');
      return revisions.map(({ spec }) => spec.sequence).join() === '2,3';
    });
    const { history } = (await stage.distribution('model')).status ?? {};
    expect(history?.map(({ revision }) => revision)).toEqual([revisionOf('three'), revisionOf('two')]);
  });

  test('that was there before is activated again without being read', async () => {
    stage.cluster.receive = () => 'more';
    await stage.apply('model', { source: source('two') });
    await stage.becomes('model', 'Ready', { status: 'True' });
    expect(await stage.publishers('model')).toEqual([]);
    const two = (await stage.revisions('model')).find(({ spec }) => spec.revision === revisionOf('two'));
    expect(two?.spec.activation.epoch).toBe(4);
  });

  test('while the first is being read is the only one that counts', async () => {
    await stage.apply('hasty', { source: source('four') });
    const old = await stage.receiving('hasty');
    await stage.apply('hasty', { source: source('five') });
    await until('the first reservation is gone', async () =>
      (await stage.reservations('hasty')).every(({ podName }) => podName !== old.podName),
    );
    release('four', 'five');
    await stage.becomes('hasty', 'Ready', { status: 'True' });
    const revisions = await stage.revisions('hasty');
    expect(revisions.map(({ spec }) => spec.revision)).toEqual([revisionOf('five')]);
  });
});

describe('suspend', () => {
  test('stops reading, and pauses transfers', async () => {
    stage.cluster.receive = () => 'more';
    await stage.apply('model', { source: source('six') });
    const { attempt } = await stage.receiving('model');
    await stage.apply('model', { source: source('six'), suspend: true });
    await stage.becomes('model', 'Published', { status: 'False', reason: 'Suspended' });
    await until('the publisher is gone', async () => (await stage.publishers('model')).length === 0);
    for (const { spec } of await stage.revisions('model')) expect(spec.paused).toBe(true);
    // The bytes so far stay with the agent.
    expect(await stage.reservations('model')).toMatchObject([{ attempt }]);
  });

  test('lets it go on afterwards', async () => {
    release('six');
    await stage.apply('model', { source: source('six'), suspend: false });
    await stage.becomes('model', 'Ready', { status: 'True' });
    for (const { spec } of await stage.revisions('model')) expect(spec.paused).toBe(false);
  });
});

test('placement selects nodes', async () => {
  release('seven');
  await stage.apply('placed', { source: source('seven'), placement: { nodeSelector: { disk: 'fast' } } });
  await stage.becomes('placed', 'Ready', { status: 'True' });
  await until('both are counted', async () => {
    const { nodes } = (await stage.distribution('placed')).status ?? {};
    return nodes?.selected === 2 && nodes.held === 2;
  });
  await stage.apply('placed', { source: source('seven'), placement: { nodeSelector: { disk: 'none' } } });
  await stage.becomes('placed', 'Ready', { status: 'False', reason: 'NoNodes' });
});

describe('in mid-publish', () => {
  test('an agent that is replaced is streamed to at its new address', async () => {
    stage.cluster.receive = () => 'more';
    await stage.apply('moving', { source: source('eight') });
    const before = await stage.receiving('moving');
    await stage.api.kubectl(
      ...['delete', 'pod', '--namespace', NAMESPACE, '--wait=false'],
      ...['--selector=app.kubernetes.io/component=agent', `--field-selector=spec.nodeName=${before.node}`],
    );
    const after = await until('another attempt', async () =>
      (await stage.reservations('moving')).find(({ attempt }) => attempt > before.attempt),
    );
    expect(after.node).toBe(before.node);
  });

  test('a Pod that somebody deletes is made anew', async () => {
    const before = await stage.receiving('moving');
    await stage.api.kubectl('delete', 'pod', '--namespace=ml', before.podName, '--wait=false');
    await until('another attempt', async () =>
      (await stage.reservations('moving')).find(({ attempt }) => attempt > before.attempt),
    );
  });

  test('a node that is gone is replaced by another', async () => {
    const before = await stage.receiving('moving');
    await stage.cluster.removeNode(before.node);
    await stage.receiving('moving', before.node);
    release('eight');
    await stage.becomes('moving', 'Ready', { status: 'True' });
    await until('its NodeContent went with it', () =>
      stage.isGone(stage.api.admin.resource(NODE_CONTENT).get(before.node)),
    );
  });
});

test('all that was done was allowed, and nothing failed for good', async () => {
  expect(stage.cluster.problems).toEqual([]);
  const refused = stage.lines.filter(({ fields }) => fields.err?.code === 403);
  expect(refused.map(({ message, fields }) => `${message}: ${fields.err?.message}`)).toEqual([]);
  const grave = stage.lines.filter(({ level }) => level === 'warn' || level === 'error');
  expect(grave.map(({ message, fields }) => `${message}: ${fields.err?.message}`)).toEqual([]);
});
