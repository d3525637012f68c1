// Pods that use content: by claim, and by host path with `enxame wait`.
import { afterAll, expect } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { PODS } from '../../kube/resource-types.ts';
import { fromFiles } from './harness/distribution.ts';
import { apply, disconnect, kubectl, resource } from './harness/environment.ts';
import { filesOn, nodeNames } from './harness/nodes.ts';
import { image, NODE_PROGRAM, outputOf, restrictedContainer, restrictedPod } from './harness/pods.ts';
import { scenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

const HASH = `
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
process.stdout.write(createHash('sha256').update(readFileSync(process.argv[1])).digest('hex'));
`;

const script = (text: string, ...args: string[]) => ({
  command: [NODE_PROGRAM, '--input-type=module', '--eval', text, '--', ...args],
});

async function phaseOf(namespace: string, name: string): Promise<string | undefined> {
  return (await resource<V1Pod>(PODS).get(name, { namespace })).status?.phase;
}

scenario(
  'a restricted Pod made before its content starts by itself, and reads the right bytes',
  async (world) => {
    const { namespace } = world;
    const source = await world.startSource();
    const file = source.file('weights.bin', 'claimed', 8 * MEBIBYTE);
    // The claim must exist for the Pod to be scheduled; the content comes slowly.
    await source.behave(file, { rate: MEBIBYTE });
    const distribution = world.distribution('claimed');
    await distribution.apply(fromFiles([file], { claim: { name: 'claimed' } }));
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'reader', namespace },
      spec: {
        ...restrictedPod,
        containers: [
          {
            ...restrictedContainer,
            ...script(HASH, '/content/weights.bin'),
            name: 'reader',
            image: await image(),
            volumeMounts: [{ name: 'content', mountPath: '/content', readOnly: true }],
          },
        ],
        volumes: [{ name: 'content', persistentVolumeClaim: { claimName: 'claimed', readOnly: true } }],
      },
    });
    await until('the Pod is scheduled', async () => {
      const { spec } = await resource<V1Pod>(PODS).get('reader', { namespace });
      return spec?.nodeName;
    });
    expect((await distribution.condition('Ready'))?.status).not.toBe('True');
    expect(await phaseOf(namespace, 'reader')).toBe('Pending');
    expect(await outputOf(namespace, 'reader', 180)).toBe(file.sha256);
  },
  { timeoutSeconds: 300 },
);

const TRY_TO_WRITE = `
import { chmodSync, chownSync, statSync, writeFileSync } from 'node:fs';
const attempt = (what) => { try { what(); return 'done'; } catch (error) { return error.code; } };
const path = '/content/weights.bin';
const tried = {
  write: attempt(() => writeFileSync(path, 'x')),
  create: attempt(() => writeFileSync('/content/new', 'x')),
  chmod: attempt(() => chmodSync(path, 0o666)),
  chown: attempt(() => chownSync(path, 1234, 1234)),
};
const { mode, uid, gid } = statSync(path);
process.stdout.write(JSON.stringify({ tried, mode: (mode & 0o7777).toString(8), uid, gid }));
`;

scenario('a Pod with fsGroup and a writable claim can change nothing', async (world) => {
  const { namespace } = world;
  const source = await world.startSource();
  const file = source.file('weights.bin', 'guarded', MEBIBYTE);
  const distribution = world.distribution('guarded');
  await distribution.apply(fromFiles([file], { claim: { name: 'guarded' } }));
  await distribution.waitReady();
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'writer', namespace },
    spec: {
      ...restrictedPod,
      securityContext: { ...restrictedPod.securityContext, fsGroup: 4321 },
      containers: [
        {
          ...restrictedContainer,
          ...script(TRY_TO_WRITE),
          name: 'writer',
          image: await image(),
          volumeMounts: [{ name: 'content', mountPath: '/content' }],
        },
      ],
      volumes: [{ name: 'content', persistentVolumeClaim: { claimName: 'guarded' } }],
    },
  });
  const seen = JSON.parse(await outputOf(namespace, 'writer'));
  expect(seen).toMatchObject({ mode: '444', uid: 0, gid: 0 });
  expect(Object.values(seen.tried)).toEqual(['EROFS', 'EROFS', 'EROFS', 'EROFS']);
  for (const node of await nodeNames())
    expect(await filesOn(node, namespace, 'guarded')).toEqual({ 'weights.bin': file.sha256 });
});

scenario('a Pod that waits for its host path starts when the content is there', async (world) => {
  const { namespace } = world;
  await kubectl([
    'label',
    'namespace',
    namespace,
    'pod-security.kubernetes.io/enforce=privileged',
    '--overwrite',
  ]);
  const [node = ''] = await nodeNames();
  const wanted = `${namespace}/awaited`;
  const root = { name: 'root', mountPath: '/var/lib/enxame', readOnly: true };
  const common = { image: await image(), imagePullPolicy: 'IfNotPresent', volumeMounts: [root] };
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'reader', namespace },
    spec: {
      ...restrictedPod,
      nodeName: node,
      initContainers: [{ ...common, name: 'wait', args: ['wait', wanted, '--timeout', '120'] }],
      containers: [
        {
          ...common,
          ...script(HASH, `/var/lib/enxame/by-name/${wanted}/current/weights.bin`),
          name: 'reader',
        },
      ],
      volumes: [{ name: 'root', hostPath: { path: '/var/lib/enxame' } }],
    },
  });
  await until('the init container runs', async () => {
    const { status } = await resource<V1Pod>(PODS).get('reader', { namespace });
    return status?.initContainerStatuses?.[0]?.state?.running;
  });
  const source = await world.startSource();
  const file = source.file('weights.bin', 'awaited', MEBIBYTE);
  await world.distribution('awaited').apply(fromFiles([file]));
  expect(await outputOf(namespace, 'reader', 120)).toBe(file.sha256);
});

scenario('a claim of somebody else is not taken over', async (world) => {
  const { namespace } = world;
  await apply({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'taken', namespace },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'none',
      resources: { requests: { storage: '1Gi' } },
    },
  });
  const source = await world.startSource();
  const distribution = world.distribution('taken');
  await distribution.apply(fromFiles([source.file('a.bin', 'a', 1000)], { claim: { name: 'taken' } }));
  await distribution.until('it says so', ({ status }) =>
    Boolean(status?.conditions?.some(({ reason }) => reason === 'ClaimConflict')),
  );
});
