// What Helm makes of the chart: it passes its own lint, refuses wrong values by name, and every program gets
// the security that the design promises.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1DaemonSet, V1Deployment, V1PodSpec } from '@kubernetes/client-node';
import fc from 'fast-check';
import { IMAGE_REPOSITORY } from '../../../image/build.ts';
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

/** What Helm says against an installation; undefined if it has nothing against it. */
const refusal = (doing: Promise<unknown>): Promise<string | undefined> =>
  doing.then(
    () => undefined,
    ({ stderr }: { stderr: string }) => stderr,
  );

test('helm lint has nothing against it', async () => {
  await expect(
    runHelm(['lint', '--strict', CHART, '--set', 'image.repository=registry.example.com/enxame']),
  ).resolves.toBeDefined();
});

describe('an installation that cannot work ends with one sentence:', () => {
  test('without an image', async () => {
    expect(await refusal(render({ 'image.repository': '' }))).toMatch(
      /image\.repository is not set: push the image .* --set image\.repository=REGISTRY\/NAME$/m,
    );
  });

  test.each(['registry.example.com/enxame:0.1.0', 'localhost:5000/enxame:1', 'enxame@sha256:00'])(
    'with a tag or digest in the repository (%s)',
    async (repository) => {
      expect(await refusal(render({ 'image.repository': repository }))).toContain(
        `image.repository is ${repository}: it must be without tag and digest`,
      );
    },
  );

  test('on a cluster older than 1.32', async () => {
    const old = ['--kube-version', '1.31.9', '--set', 'image.repository=registry.example.com/enxame'];
    expect(await refusal(runHelm(['template', 'enxame', CHART, ...old]))).toMatch(
      /chart requires kubeVersion: >=1\.32\.0-0 which is incompatible with Kubernetes v1\.31\.9/,
    );
  });

  test('with a label by which Pods are found set to something else', async () => {
    const podLabels = { 'app.kubernetes.io/name': 'mine' };
    expect(await refusal(render({ 'agent.podLabels': podLabels }))).toContain(
      'agent.podLabels sets app.kubernetes.io/name to mine',
    );
  });
});

test.each(['registry.example.com/enxame', 'localhost:5000/enxame', 'docker.io/team/enxame'])(
  'the image comes from where image.repository says: %s',
  async (repository) => {
    const pod = agent(await render({ 'image.repository': repository, 'image.tag': '1.2.3' })).spec?.template
      .spec;
    expect(pod?.containers[0]?.image).toBe(`${repository}:1.2.3`);
  },
);

describe('a chart of another version', () => {
  /** The chart with other versions, as whoever packages it gives them. */
  async function chartOf(version: string, appVersion: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'enxame-chart-'));
    temporary.push(folder);
    const chart = join(folder, 'enxame');
    await cp(CHART, chart, { recursive: true });
    const file = join(chart, 'Chart.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(
      file,
      text
        .replace(/^version: .*$/m, `version: ${version}`)
        .replace(/^appVersion: .*$/m, `appVersion: "${appVersion}"`),
    );
    return chart;
  }
  const temporary: string[] = [];

  afterAll(() => Promise.all(temporary.map((folder) => rm(folder, { recursive: true }))));

  const VALUE = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;
  const labelsIn = (value: unknown): string[] =>
    value === null || typeof value !== 'object'
      ? []
      : Object.entries(value).flatMap(([name, inner]) =>
          name === 'labels' || name === 'matchLabels'
            ? (Object.values(inner ?? {}) as string[])
            : labelsIn(inner),
        );

  test.each([
    ['0.1.0+abc123', '0.1.0+abc123'],
    [`1.0.0-${'a'.repeat(60)}+build`, `1.0.0-rc.1+${'b.'.repeat(40)}c`],
  ])('has labels and an image tag that are valid: %s', async (version, appVersion) => {
    const made = await render({}, await chartOf(version, appVersion));
    expect(made.flatMap(labelsIn).filter((value) => !VALUE.test(value))).toEqual([]);
    const image = agent(made).spec?.template.spec?.containers[0]?.image ?? '';
    expect(image.slice(image.lastIndexOf(':') + 1)).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);
  });

  test('replaces no Pod that its image does not replace', async () => {
    const image = { 'image.tag': 'same' };
    const [before, after] = [await render(image), await render(image, await chartOf('0.2.0', '0.2.0'))];
    expect(agent(after).spec).toEqual(agent(before).spec);
    expect(operator(after).spec).toEqual(operator(before).spec);
    expect(find(after, 'DaemonSet', 'enxame-agent').metadata).not.toEqual(
      find(before, 'DaemonSet', 'enxame-agent').metadata,
    );
  });
});

test('values that repeat what the chart sets itself are merged with it', async () => {
  const nodeSelector = { 'kubernetes.io/os': 'linux', disk: 'fast' };
  const podLabels = {
    'app.kubernetes.io/name': 'enxame',
    'app.kubernetes.io/part-of': 'platform',
    'app.kubernetes.io/version': '7',
    team: 'ml',
  };
  // A key that is there twice is an error to a strict reader.
  const made = await render({
    ...Object.fromEntries(['operator', 'agent', 'tracker'].map((of) => [`${of}.nodeSelector`, nodeSelector])),
    ...Object.fromEntries(['operator', 'agent'].map((of) => [`${of}.podLabels`, podLabels])),
  });
  for (const [component, { template }] of [
    ['operator', operator(made).spec!],
    ['agent', agent(made).spec!],
  ] as const) {
    expect(template.spec?.nodeSelector).toEqual(nodeSelector);
    expect(template.metadata?.labels).toEqual({
      ...podLabels,
      'app.kubernetes.io/instance': 'enxame',
      'app.kubernetes.io/component': component,
      'app.kubernetes.io/managed-by': 'Helm',
    });
  }
});

test('values that are taken away (null) leave what the chart sets itself', async () => {
  const none = ['agent', 'operator'].flatMap((of) => [`${of}.podLabels`, `${of}.nodeSelector`]);
  const made = await render(Object.fromEntries(none.map((path) => [path, null])));
  const asUsual = await render();
  expect(agent(made).spec).toEqual(agent(asUsual).spec);
  expect(operator(made).spec).toEqual(operator(asUsual).spec);
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
  const image = `${IMAGE_REPOSITORY}@sha256:${'0'.repeat(64)}`;
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

  test('is not wanted on nodes that are no machines, unless the values say otherwise', async () => {
    const required =
      agent(objects).spec?.template.spec?.affinity?.nodeAffinity
        ?.requiredDuringSchedulingIgnoredDuringExecution;
    expect(required?.nodeSelectorTerms).toHaveLength(1);
    expect(required?.nodeSelectorTerms[0]?.matchExpressions).toEqual(
      expect.arrayContaining([{ key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }]),
    );
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'edge', operator: 'Exists' }] }];
    const affinity = {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
    };
    expect(agent(await render({ 'agent.affinity': affinity })).spec?.template.spec?.affinity).toEqual(
      affinity,
    );
    expect(agent(await render({ 'agent.affinity': null })).spec?.template.spec?.affinity).toBeUndefined();
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
  ...[
    'everything',
    '10.0.0.0/33',
    '10.0.0/8',
    '256.0.0.0/8',
    'fd00::/129',
    '1::2::3',
    'fd00',
    '1:2:3:4:5:6:7:8:9',
  ].map((range) => ['publisher.deniedCIDRs', [range]] as const),
  ['publisher.allowedCIDRs', ['10.0.0.0/-1']],
  ['publisher.environment', { 'A B': 'x' }],
  ['publisher.caConfigMap.name', 'Trust'],
  ['image.tag', 'a+b'],
  ['imagePullSecrets', [{ name: 'a' }, { name: 'a' }]],
  ['agent.resources', { limits: { memory: '1 GB' } }],
  ['agent.tolerations', [{ operator: 'Exist' }]],
  ['operator.podLabels', { team: 'a b' }],
  ['operator.nodeSelector', { 'a b': 'x' }],
  ['tracker.priorityClassName', 'High'],
  ['logLevel', 'loud'],
])('%s = %j is refused by name', async (path, value) => {
  const error = await refusal(render({ [path]: value }));
  expect(error).toContain(path.split('.')[0]);
  expect(error).toMatch(/schema|Additional property|additional properties/i);
});

test('every address range that there is can be denied', async () => {
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
  );
  const ranges = fc
    .sample(address, { numRuns: 300, seed: 1 })
    .flatMap(([ip, bits]) => (ip.includes('.') && ip.includes(':') ? [] : [`${ip}/${bits}`, ip]));
  const denied = [...new Set(ranges)];
  expect(denied.length).toBeGreaterThan(300);
  const { template } = operator(await render({ 'publisher.deniedCIDRs': denied })).spec!;
  expect(environment(template.spec).ENXAME_PUBLISHER_DENIED_CIDRS).toBe(denied.join(','));
});
