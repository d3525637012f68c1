// kube/ on a real API server, also while that is killed and comes back.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1ConfigMap } from '@kubernetes/client-node';
import { loadKubeConfig } from '../../../kube/access.ts';
import { createClient, type KubeClient } from '../../../kube/client.ts';
import { isAlreadyExists, isConflict, isInvalid, isNotFound } from '../../../kube/errors.ts';
import { EventRecorder } from '../../../kube/event-recorder.ts';
import { Informer } from '../../../kube/informer.ts';
import { LeaderElector } from '../../../kube/leader-elector.ts';
import { EVENTS, LEASES } from '../../../kube/resource-types.ts';
import { reviewToken } from '../../../kube/token-review.ts';
import { until } from '../../base/until.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { recordingLogger } from '../../kube/logs.ts';

const CONFIG_MAPS = { group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true };
const namespace = 'default';

let plane: ControlPlane;
let client: KubeClient;
const cleanUps: (() => void)[] = [];

beforeAll(async () => {
  plane = await startControlPlane();
  const access = loadKubeConfig({ kubeconfig: plane.kubeconfigPath });
  client = createClient(access, { userAgent: 'enxame-test', logger: recordingLogger() });
}, 900_000);

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

afterAll(async () => {
  await client?.close();
  await plane?.close();
});

const configMaps = () => client.resource<V1ConfigMap>(CONFIG_MAPS);
const configMap = (name: string, data: Record<string, string> = {}): V1ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, labels: { test: 'yes' } },
  data,
});

const errorOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

function watchConfigMaps(idleMilliseconds?: number) {
  const informer = new Informer<V1ConfigMap>({
    resource: configMaps(),
    logger: recordingLogger(),
    namespace,
    labelSelector: 'test=yes',
    ...(idleMilliseconds === undefined ? {} : { idleMilliseconds }),
  });
  cleanUps.push(() => informer.stop());
  const told: string[] = [];
  informer.addHandler({
    onAdd: ({ metadata }) => told.push(`+${metadata?.name}`),
    onUpdate: ({ metadata, data }) => told.push(`~${metadata?.name} ${data?.value}`),
    onDelete: ({ metadata }, { finalStateUnknown }) =>
      told.push(`-${metadata?.name}${finalStateUnknown ? ' unseen' : ''}`),
  });
  informer.start();
  return { informer, told };
}

describe('a call', () => {
  test('makes, reads, changes, applies and deletes', async () => {
    const made = await configMaps().create(configMap('one', { value: '1' }));
    expect(isAlreadyExists(await errorOf(configMaps().create(configMap('one'))))).toBe(true);
    const updated = await configMaps().update({ ...made, data: { value: '2' } });
    expect(isConflict(await errorOf(configMaps().update({ ...made, data: { value: '3' } })))).toBe(true);
    expect((await configMaps().get('one', { namespace })).data).toEqual({ value: '2' });

    const ref = { name: 'one', namespace };
    await configMaps().mergePatch(ref, { data: { value: null, other: 'x' } });
    expect((await configMaps().get('one', { namespace })).data).toEqual({ other: 'x' });
    const stale = { metadata: { resourceVersion: updated.metadata?.resourceVersion }, data: { other: 'y' } };
    expect(isConflict(await errorOf(configMaps().mergePatch(ref, stale)))).toBe(true);

    const applied = { ...configMap('one', { applied: 'yes' }) };
    await configMaps().apply(applied, { fieldManager: 'test', force: true });
    expect((await configMaps().get('one', { namespace })).data).toEqual({ applied: 'yes', other: 'x' });

    expect(isConflict(await errorOf(configMaps().delete(ref, { uid: 'another' })))).toBe(true);
    await configMaps().delete(ref, { uid: made.metadata!.uid! });
    expect(isNotFound(await errorOf(configMaps().get('one', { namespace })))).toBe(true);
  });

  test('says what is wrong with an object', async () => {
    expect(isInvalid(await errorOf(configMaps().create(configMap('No Such Name'))))).toBe(true);
    await expect(configMaps().create(configMap('No Such Name'))).rejects.toThrow(/RFC 1123/);
  });

  test('lists more than fits a page', async () => {
    const names = Array.from({ length: 620 }, (_, index) => `many-${index}`);
    for (let from = 0; from < names.length; from += 40)
      await Promise.all(names.slice(from, from + 40).map((name) => configMaps().create(configMap(name))));
    const { items } = await configMaps().list({ namespace, labelSelector: 'test=yes' });
    expect(new Set(items.map(({ metadata }) => metadata?.name))).toEqual(new Set(names));
    await plane.kubectl(['delete', 'configmaps', '-l', 'test=yes', '--wait=false']);
  });

  test('asks whose a token is', async () => {
    await plane.kubectl(['create', 'serviceaccount', 'asker']);
    const token = (await plane.kubectl(['create', 'token', 'asker', '--audience=enxame.dev/test'])).trim();
    const good = await reviewToken(client, token, ['enxame.dev/test']);
    expect(good).toMatchObject({
      authenticated: true,
      username: 'system:serviceaccount:default:asker',
      audiences: ['enxame.dev/test'],
    });
    expect((await reviewToken(client, token, ['another'])).authenticated).toBe(false);
    expect((await reviewToken(client, 'forged', ['enxame.dev/test'])).authenticated).toBe(false);
  });
});

describe('an informer', () => {
  test('sees changes as they happen', async () => {
    const { informer, told } = watchConfigMaps();
    await informer.synced();
    const before = told.length;
    await configMaps().create(configMap('seen'));
    await configMaps().mergePatch({ name: 'seen', namespace }, { data: { value: '1' } });
    await configMaps().delete({ name: 'seen', namespace });
    await until('the three changes are seen', () => told.length >= before + 3);
    expect(told.slice(before)).toEqual(['+seen', '~seen 1', '-seen']);
  });

  test('goes on when the API server is killed and comes back, and misses nothing', async () => {
    const { informer, told } = watchConfigMaps();
    await informer.synced();
    await configMaps().create(configMap('stays'));
    await configMaps().create(configMap('goes'));
    await until('both are seen', () => informer.list().length >= 2);
    told.splice(0);
    for (let round = 1; round <= 2; round += 1) {
      await plane.stopApiServer();
      expect(informer.get('default/stays')).toBeDefined(); // What was seen last stays known.
      await plane.startApiServer();
      await configMaps().mergePatch({ name: 'stays', namespace }, { data: { value: String(round) } });
      await until('the change is seen', () => told.includes(`~stays ${round}`));
    }
    await configMaps().delete({ name: 'goes', namespace });
    await until('the deletion is seen', () => told.some((line) => line.startsWith('-goes')));
    await configMaps().delete({ name: 'stays', namespace });
  });

  test('takes a silent watch for dead and goes on', async () => {
    const { informer, told } = watchConfigMaps(1000);
    await informer.synced();
    await delay(3500);
    await configMaps().create(configMap('after-silence'));
    await until('it is seen', () => told.includes('+after-silence'));
    await configMaps().delete({ name: 'after-silence', namespace });
  });
});

test('of two replicas one leads, through a restart of the API server, and hands over when it ends', async () => {
  const leading = new Set<string>();
  const replica = (identity: string) => {
    const end = new AbortController();
    cleanUps.push(() => end.abort());
    const logger = recordingLogger();
    const elector = new LeaderElector({ client, namespace, name: 'test', identity, logger });
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
        onStoppedLeading: () => {},
      },
      end.signal,
    );
    return { done, stop: () => end.abort() };
  };
  const first = replica('first');
  await until('the first leads', () => leading.has('first'));
  const second = replica('second');
  await plane.stopApiServer();
  await delay(2500);
  expect([...leading]).toEqual(['first']);
  await plane.startApiServer();
  await delay(4000);
  expect([...leading]).toEqual(['first']);
  first.stop();
  await first.done;
  await until('the second leads', () => leading.has('second'), 10);
  const lease = await client
    .resource<{ metadata?: object; spec?: { holderIdentity?: string } }>(LEASES)
    .get('test', { namespace });
  expect(lease.spec?.holderIdentity).toBe('second');
  second.stop();
  await second.done;
});

test('events are found where people look', async () => {
  const made = await configMaps().create(configMap('subject'));
  const logger = recordingLogger();
  const recorder = new EventRecorder({ client, component: 'enxame-test', instance: 'one', logger });
  const { name, uid, resourceVersion } = made.metadata!;
  const subject = { apiVersion: 'v1', kind: 'ConfigMap', name: name!, namespace, uid, resourceVersion };
  for (let count = 0; count < 3; count += 1) recorder.event(subject, 'Warning', 'Tried', 'it was tried');
  await recorder.flush();
  expect(logger.lines).toEqual([]);
  expect(await plane.kubectl(['events', '--for=configmap/subject'])).toMatch(/Warning\s+Tried.*it was tried/);
  const { items } = await client
    .resource<{ metadata?: object; series?: { count: number } }>(EVENTS)
    .list({ namespace, fieldSelector: 'reason=Tried' });
  expect(items.map(({ series }) => series?.count)).toEqual([3]);
  await configMaps().delete({ name: 'subject', namespace });
});
