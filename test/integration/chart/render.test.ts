// What Helm makes of the chart: it passes its own lint, refuses wrong values by name, and every program gets
// the security that the design promises.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { V1DaemonSet, V1Deployment, V1PodSpec } from '@kubernetes/client-node';
import { readConfig } from '../../../operator/config.ts';
import { CHART, find, NAMESPACE, type Rendered, render, runHelm } from './render.ts';

let objects: Rendered[];

beforeAll(async () => {
  objects = await render();
});

const operator = (from: Rendered[]) => find(from, 'Deployment', 'enxame-operator') as unknown as V1Deployment;
const agent = (from: Rendered[]) => find(from, 'DaemonSet', 'enxame-agent') as unknown as V1DaemonSet;

function environment(pod: V1PodSpec | undefined): Record<string, string> {
  const entries = (pod?.containers[0]?.env ?? []).map(({ name, value, valueFrom }) => [
    name,
    value ?? `from ${valueFrom?.fieldRef?.fieldPath}`,
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}

test('helm lint has nothing against it', async () => {
  await expect(runHelm(['lint', '--strict', CHART])).resolves.toBeDefined();
});

test('the operator understands the environment that the chart gives it', async () => {
  const values = {
    imagePullSecrets: [{ name: 'a' }, { name: 'b' }],
    'tracker.nodeSelector': { disk: 'fast' },
    'publisher.deniedCIDRs': ['10.0.0.0/8', 'fd00::/8'],
    'publisher.environment': { HTTPS_PROXY: 'http://proxy:3128' },
    'publisher.caConfigMap': { name: 'trust', key: 'bundle.pem' },
    'image.digest': `sha256:${'0'.repeat(64)}`,
    logLevel: 'debug',
  };
  const { template } = operator(await render(values)).spec!;
  const config = readConfig({ ...environment(template.spec), POD_NAME: 'p', POD_NAMESPACE: NAMESPACE });
  const image = `docker.io/enxame/enxame@sha256:${'0'.repeat(64)}`;
  expect(template.spec?.containers[0]?.image).toBe(image);
  expect(config).toMatchObject({
    deployment: 'enxame-operator',
    contentRoot: '/var/lib/enxame',
    publisher: {
      image,
      logLevel: 'debug',
      imagePullSecrets: ['a', 'b'],
      deniedCidrs: ['10.0.0.0/8', 'fd00::/8'],
      environment: { HTTPS_PROXY: 'http://proxy:3128' },
      authorities: { configMap: 'trust', key: 'bundle.pem' },
      resources: { limits: { memory: '256Mi' } },
    },
    tracker: {
      replicas: 2,
      zoneSharePercent: 66,
      logLevel: 'debug',
      instance: 'enxame',
      serviceAccount: 'enxame-tracker',
      replicaSecret: 'enxame-tracker-replicas',
      scheduling: { nodeSelector: { disk: 'fast' } },
    },
  });
});

test('with its own values too', () => {
  const config = readConfig({
    ...environment(operator(objects).spec?.template.spec),
    POD_NAME: 'p',
    POD_NAMESPACE: NAMESPACE,
  });
  expect(config.publisher).toMatchObject({ authorities: undefined, imagePullSecrets: [], environment: {} });
});

test('the operator has two replicas, of which one at least stays', () => {
  expect(operator(objects).spec?.replicas).toBe(2);
  expect(find(objects, 'PodDisruptionBudget', 'enxame-operator')).toMatchObject({
    spec: { maxUnavailable: 1 },
  });
});

test('the operator meets Pod Security "restricted"', () => {
  const pod = operator(objects).spec?.template.spec;
  expect(pod?.securityContext).toMatchObject({
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(pod?.containers[0]?.securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  expect(pod?.volumes ?? []).toEqual([]);
});

describe('the agent', () => {
  test('is root without capabilities, and sees one path of the node', () => {
    const pod = agent(objects).spec?.template.spec;
    expect(pod?.containers[0]?.securityContext).toEqual({
      runAsUser: 0,
      runAsGroup: 0,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod?.securityContext).toEqual({ seccompProfile: { type: 'RuntimeDefault' } });
    const token = { audience: 'enxame-tracker', expirationSeconds: 3600, path: 'token' };
    expect(pod?.volumes).toEqual([
      { name: 'announce', projected: { sources: [{ serviceAccountToken: token }] } },
      { name: 'content', hostPath: { path: '/var/lib/enxame', type: 'DirectoryOrCreate' } },
    ]);
    expect(pod?.hostNetwork).toBeUndefined();
    expect(pod?.hostPID).toBeUndefined();
  });

  test('runs on every Linux node, and a tenth is replaced at once', () => {
    const { spec } = agent(objects);
    expect(spec?.template.spec?.tolerations).toEqual([{ operator: 'Exists' }]);
    expect(spec?.template.spec?.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux' });
    expect(spec?.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '10%' } });
  });

  test('is told where it is', () => {
    expect(environment(agent(objects).spec?.template.spec)).toEqual({
      NODE_NAME: 'from spec.nodeName',
      POD_IP: 'from status.podIP',
      ENXAME_ANNOUNCE_TOKEN: '/var/run/enxame/announce/token',
      POD_NAME: 'from metadata.name',
      POD_NAMESPACE: 'from metadata.namespace',
      POD_UID: 'from metadata.uid',
      ENXAME_LOG_LEVEL: 'info',
      ENXAME_CONTENT_ROOT: '/var/lib/enxame',
    });
  });
});

test('the CRDs are those of the repository, kept on uninstall', async () => {
  const folder = join(CHART, '..', '..', 'crds');
  for (const file of await readdir(folder)) {
    const [own, packed] = await Promise.all(
      [folder, join(CHART, 'files', 'crds')].map((place) => readFile(join(place, file), 'utf8')),
    );
    expect(packed).toBe(own);
  }
  const crds = objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
  expect(crds.map(({ metadata }) => metadata.name).sort()).toEqual([
    'contentdistributions.enxame.dev',
    'contentrevisions.enxame.dev',
    'nodecontents.enxame.dev',
  ]);
  for (const { metadata } of crds)
    expect(metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' });
  const without = await render({ 'crds.install': false });
  expect(without.some(({ kind }) => kind === 'CustomResourceDefinition')).toBe(false);
});

test.each([
  ['tracker.replicas', 0],
  ['tracker.replicaCount', 2],
  ['operator.replicas', 'two'],
  ['contentRoot', 'var/lib/enxame'],
  ['contentRoot', '/var/../etc'],
  ['image.pullPolicy', 'Sometimes'],
  ['image.digest', 'sha256:123'],
  ['agent.maxUnavailable', '0%'],
  ['publisher.deniedCIDRs', ['everything']],
  ['logLevel', 'loud'],
])('%s = %j is refused by name', async (path, value) => {
  const error = await render({ [path]: value }).then(
    () => undefined,
    ({ stderr }: { stderr: string }) => stderr,
  );
  expect(error).toContain(path.split('.')[0]);
  expect(error).toMatch(/schema|Additional property|additional properties/i);
});
