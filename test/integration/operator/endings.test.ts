// Claims, refusals and deletions, with the operator as it is run, on a real API server with its controllers:
// the garbage collector, namespaces' end, the binding of volumes, quotas.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import {
  type ContentDistribution,
  type ContentDistributionSpec,
  Label,
  NODE_CONTENT,
  type NodeContent,
  persistentVolumeName,
} from '../../../api/index.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '../../../kube/index.ts';
import { until } from '../../base/until.ts';
import { PATIENCE } from '../../patience.ts';
import { Stage } from './stage.ts';

const source = (name: string): ContentDistributionSpec['source'] => ({
  http: { files: [{ path: 'weights', url: `https://models.example.com/${name}` }] },
});

let stage: Stage;

/** Lets every publication end well; its content is the source's and the distribution's own. */
function releaseAll(): void {
  stage.cluster.receive = ({ sourceState }) => ({
    digest: `sha256:${sourceState.repeat(4)}`,
    sizeBytes: 1024,
  });
}
function holdAll(): void {
  stage.cluster.receive = () => 'more';
}

const volumes = () => stage.api.admin.resource<V1PersistentVolume>(PERSISTENT_VOLUMES);
const claims = () => stage.api.admin.resource<V1PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
const claim = (name: string, namespace = 'ml') => claims().get(name, { namespace });

/** Reconciles now what would otherwise wait for its next look. */
const touch = (name: string) =>
  stage.api.kubectl(
    ...['annotate', 'contentdistribution', name, '--namespace=ml', '--overwrite'],
    `test/touched=${Date.now()}`,
  );

/** Waits until nothing in the API belongs to a distribution. */
async function nothingIsLeftOf(name: string, uid: string | undefined, namespace = 'ml'): Promise<void> {
  const left = async () => {
    const selector = { labelSelector: `${Label.DistributionUid}=${uid}` };
    const [revisions, publishers, reservations, ownVolumes, ownClaims] = await Promise.all([
      stage.revisions(name, namespace),
      stage.publishers(name, namespace),
      stage.reservations(name),
      volumes().list(selector),
      claims().list({ namespace, ...selector }),
    ]);
    return {
      revisions: revisions.filter(({ spec }) => spec.distributionUID === uid).length,
      publishers: publishers.filter(({ metadata }) => metadata?.labels?.[Label.DistributionUid] === uid)
        .length,
      reservations: reservations.filter((reservation) => reservation.uid === uid).length,
      volumes: ownVolumes.items.length,
      claims: ownClaims.items.length,
    };
  };
  let last: Awaited<ReturnType<typeof left>> | undefined;
  await until(`nothing is left of ${name}`, async () => {
    last = await left();
    return Object.values(last).every((count) => count === 0);
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`);
  });
}

beforeAll(async () => {
  stage = await Stage.open();
  await stage.startOperator('operator-a');
  await until('it leads', async () => (await stage.leader()) !== '');
}, 180_000);

afterAll(async () => {
  await stage?.close();
});

describe('a claim', () => {
  test('is a volume and a claim that bind each other, and wait for no node', async () => {
    holdAll();
    const { metadata } = await stage.apply('model', {
      ...{ source: source('one'), claim: { name: 'weights' } },
      placement: { nodeSelector: { disk: 'fast' } },
    });
    const name = persistentVolumeName(metadata.uid ?? '');
    const bound = await until('the claim is bound', async () => {
      const found = await claim('weights').catch(() => undefined);
      return found?.status?.phase === 'Bound' ? found : undefined;
    });
    expect(bound).toMatchObject({
      metadata: { ownerReferences: [{ uid: metadata.uid, controller: true }] },
      spec: { volumeName: name, accessModes: ['ReadOnlyMany'], storageClassName: '' },
    });
    const volume = await volumes().get(name);
    expect(volume.spec).toMatchObject({
      local: { path: `/var/lib/enxame/content/${metadata.uid}/current` },
      mountOptions: ['ro'],
      accessModes: ['ReadOnlyMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { namespace: 'ml', name: 'weights', uid: bound.metadata?.uid },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In', values: ['fast'] }] }],
        },
      },
    });
    releaseAll();
    await stage.becomes('model', 'Ready', { status: 'True' });
  });

  test('that its user deletes is made anew and bound again', async () => {
    const before = await claim('weights');
    await claims().delete({ name: 'weights', namespace: 'ml' });
    const after = await until('another claim is bound', async () => {
      const found = await claim('weights').catch(() => undefined);
      return found?.status?.phase === 'Bound' && found.metadata?.uid !== before.metadata?.uid
        ? found
        : undefined;
    });
    expect(after.spec?.volumeName).toBe(before.spec?.volumeName);
  });

  test('of somebody else is left alone, and said to be in the way', async () => {
    await stage.api.create([
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'taken', namespace: 'ml' } },
        spec: {
          ...{ accessModes: ['ReadWriteOnce'], storageClassName: 'none' },
          resources: { requests: { storage: '1Gi' } },
        },
      },
    ]);
    const theirs = await claim('taken');
    await stage.apply('rival', { source: source('two'), claim: { name: 'taken' } });
    const { message } = await stage.becomes('rival', 'Stalled', { status: 'True', reason: 'ClaimConflict' });
    expect(message).toContain('PersistentVolumeClaim taken exists and is not of this distribution');
    // Content does not wait for its claim.
    await stage.becomes('rival', 'Ready', { status: 'True' });
    expect((await claim('taken')).metadata?.uid).toBe(theirs.metadata?.uid);
    await claims().delete({ name: 'taken', namespace: 'ml' });
    await until('the claim of somebody else is gone', () => stage.isGone(claim('taken')));
    await touch('rival');
    await until(
      'it is made',
      async () => (await claim('taken').catch(() => undefined))?.status?.phase === 'Bound',
    );
    await stage.becomes('rival', 'Stalled', { status: 'False' });
  });

  test('goes when it is no longer asked for', async () => {
    await stage.apply('rival', { source: source('two') });
    await until('the claim is gone', () => stage.isGone(claim('taken')));
    const { metadata } = await stage.distribution('rival');
    await until('the volume is gone', () =>
      stage.isGone(volumes().get(persistentVolumeName(metadata.uid ?? ''))),
    );
  });
});

test('a claim that is asked for anew with other nodes, while no operator runs, is another one', async () => {
  const placed = (disk: string) => ({ placement: { nodeSelector: { disk } }, claim: { name: 'moved' } });
  const boundTo = (disk: string) =>
    until(`the claim is bound, on ${disk} nodes`, async () => {
      const found = await claim('moved').catch(() => undefined);
      const volume = await volumes()
        .get(found?.spec?.volumeName ?? 'none')
        .catch(() => undefined);
      return (
        found?.status?.phase === 'Bound' && JSON.stringify(volume?.spec?.nodeAffinity ?? {}).includes(disk)
      );
    });
  await stage.apply('moved', { source: source('two'), ...placed('fast') });
  await boundTo('fast');
  await Promise.all(stage.replicas.map(({ stop }) => stop()));
  await stage.apply('moved', { source: source('two') });
  await stage.apply('moved', { source: source('two'), ...placed('slow') });
  await stage.startOperator('operator-moved');
  await boundTo('slow');
  await stage.becomes('moved', 'Stalled', { status: 'False' });
});

test('a distribution that is applied together with its namespace is told of no trouble', async () => {
  await stage.api.create([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fresh' } }]);
  const { metadata } = await stage.apply('model', { source: source('three') }, 'fresh');
  await until('it is Ready', async () =>
    (await stage.distribution('model', 'fresh')).status?.conditions?.some(
      ({ type, status }) => type === 'Ready' && status === 'True',
    ),
  );
  const events = await stage.events(metadata.uid, 'fresh');
  expect(events.filter(({ type }) => type === 'Warning')).toEqual([]);
});

describe('a namespace without room for the publisher', () => {
  test('is told of in the API server’s words, and asked again', async () => {
    await stage.api.create([
      {
        ...{ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace: 'ml' } },
        spec: { hard: { pods: '0' } },
      },
    ]);
    await until('the quota is counted', async () => {
      const used = await stage.api.kubectl(
        ...['get', 'resourcequota', 'none', '--namespace=ml', '-o', 'jsonpath={.status.used.pods}'],
      );
      return used !== '';
    });
    await stage.apply('refused', { source: source('three') });
    const stalled = await stage.becomes('refused', 'Stalled', {
      status: 'True',
      reason: 'PublisherRejected',
    });
    expect(stalled.message).toMatch(/the API server refuses the publisher Pod: .*exceeded quota: none/);
    expect(await stage.condition('refused', 'Published')).toMatchObject({
      status: 'False',
      reason: 'PublisherRejected',
    });
    await stage.api.kubectl('delete', 'resourcequota', 'none', '--namespace=ml');
    await touch('refused');
    await stage.becomes('refused', 'Ready', { status: 'True' });
  });
});

describe('deletion', () => {
  let ready: ContentDistribution;
  let doomed: ContentDistribution;

  // The controllers of Kubernetes take their time, so these two begin first and are looked at last.
  beforeAll(async () => {
    ready = await stage.distribution('model');
    await stage.makeNamespace('doomed');
    holdAll();
    doomed = await stage.apply('doomed', { source: source('six'), claim: { name: 'doomed' } }, 'doomed');
    await stage.receiving('doomed');
    await stage.delete('model');
    await stage.api.kubectl('delete', 'namespace', 'doomed', '--wait=false');
  });

  test('leaves nothing of one that is being read', async () => {
    const { metadata } = await stage.apply('half', { source: source('four'), claim: { name: 'half' } });
    await stage.receiving('half');
    await stage.delete('half');
    await nothingIsLeftOf('half', metadata.uid);
  });

  test('and the same name at once again: a new one, with nothing of the old', async () => {
    releaseAll();
    const before = await stage.apply('again', { source: source('five'), claim: { name: 'again' } });
    await stage.becomes('again', 'Ready', { status: 'True' });
    await stage.delete('again');
    const after = await stage.apply('again', { source: source('five'), claim: { name: 'again' } });
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    await stage.becomes('again', 'Ready', { status: 'True' });
    await nothingIsLeftOf('again', before.metadata.uid);
    await until('its own claim is bound', async () => {
      const found = await claim('again').catch(() => undefined);
      return (
        found?.status?.phase === 'Bound' &&
        found.spec?.volumeName === persistentVolumeName(after.metadata.uid ?? '')
      );
    });
    const [revision, ...more] = await stage.revisions('again');
    expect([revision?.spec.distributionUID, more]).toEqual([after.metadata.uid, []]);
  });

  test('leaves nothing of a distribution that was Ready', async () => {
    await nothingIsLeftOf('model', ready.metadata.uid);
    await until('the claim is gone', () => stage.isGone(claim('weights')));
  });

  test('of its namespace in mid-publish ends the namespace, and leaves nothing', async () => {
    await until('the namespace is gone', () =>
      stage.api.kubectl('get', 'namespace', 'doomed').then(
        () => false,
        () => true,
      ),
    );
    await nothingIsLeftOf('doomed', doomed.metadata.uid, 'doomed');
  });

  test('while no operator runs is made up for by the next', async () => {
    holdAll();
    const { metadata } = await stage.apply('alone', { source: source('seven'), claim: { name: 'alone' } });
    await stage.receiving('alone');
    await Promise.all(stage.replicas.map(({ stop }) => stop()));
    await stage.delete('alone');
    await until('the distribution is gone', () => stage.isGone(stage.distribution('alone')));
    expect(await stage.reservations('alone')).toHaveLength(1);
    await stage.startOperator('operator-b');
    await nothingIsLeftOf('alone', metadata.uid);
  });
});

test('many at once are all served, with few writes each', async () => {
  releaseAll();
  const replica = stage.replicas.at(-1)!;
  const names = Array.from({ length: 24 }, (_, place) => `many-${place}`);
  const before = await stage.metric(replica, 'enxame_operator_status_writes_total');
  await stage.api.create(
    names.map((name) => ({
      ...{
        apiVersion: 'enxame.dev/v1alpha1',
        kind: 'ContentDistribution',
        metadata: { name, namespace: 'ml' },
      },
      spec: { source: source(name) },
    })),
  );
  await stage.api.kubectl(
    ...[
      'wait',
      'contentdistribution',
      '--all',
      '--namespace=ml',
      '--for=condition=Ready',
      `--timeout=${PATIENCE * 60}s`,
    ],
  );
  await until('every reservation is released', async () => {
    const { items } = await stage.api.admin.resource<NodeContent>(NODE_CONTENT).list();
    return items.every(({ spec }) => (spec?.publishing ?? []).length === 0);
  });
  // Begun, published, downloading, held, activated: and some of these at once.
  const written = (await stage.metric(replica, 'enxame_operator_status_writes_total')) - before;
  expect(written / names.length).toBeLessThanOrEqual(9);
});

test('all that was done was allowed', async () => {
  expect(stage.cluster.problems).toEqual([]);
  const told = stage.lines
    .filter(
      ({ level, fields }) => level === 'error' || / cannot \w+ resource /.test(fields.err?.message ?? ''),
    )
    .map(({ message, fields }) => `${message}: ${fields.err?.message}`);
  expect(told).toEqual([]);
});
