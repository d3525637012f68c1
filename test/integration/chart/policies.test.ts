// The chart on a real API server: it takes every object, the roles give each program what it needs and no more,
// and the admission policies refuse what roles cannot. Programs are impersonated, with the claims that a token
// of a Pod carries.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, request } from 'undici';
import { contentDistribution, contentRevision, nodeContent } from '../../api/objects.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { PATIENCE } from '../../patience.ts';
import { NAMESPACE, render } from './render.ts';

const agent = (node: string) => [
  '--as',
  `system:serviceaccount:${NAMESPACE}:enxame-agent`,
  '--as-user-extra',
  `authentication.kubernetes.io/node-name=${node}`,
];
const account = (name: string) => ['--as', `system:serviceaccount:${name}`];
const OPERATOR = account(`${NAMESPACE}:enxame-operator`);
const ADMIN: string[] = [];

let server: ControlPlane;
/** Connects as administrator. */
let administrator: Agent;

const kubectl = (...args: string[]): Promise<string> => server.kubectl(args);

/** Runs kubectl with an object as its input. */
const send = (verb: string[], object: object, as: string[]): Promise<string> =>
  server.kubectl([...verb, '-f', '-', ...as], JSON.stringify(object));

function connectAsAdministrator(): Agent {
  const config = new KubeConfig();
  config.loadFromFile(server.kubeconfigPath);
  const pem = (base64: string | undefined) => Buffer.from(base64 ?? '', 'base64');
  const { certData, keyData } = config.getCurrentUser() ?? {};
  return new Agent({
    connect: { ca: pem(config.getCurrentCluster()?.caData), cert: pem(certData), key: pem(keyData) },
  });
}

/** What the API server says against it; undefined if it agrees. */
async function refusal(doing: Promise<unknown>): Promise<string | undefined> {
  try {
    await doing;
    return undefined;
  } catch (error) {
    return (error as { stderr?: string }).stderr ?? String(error);
  }
}

const patchNode = (node: string, patch: object, as: string[]) =>
  kubectl('patch', 'nodecontent', node, '--type=merge', '--patch', JSON.stringify(patch), ...as);

/** One request as an agent makes it; kubectl would read the subresource first, which agents need not do. */
async function patchStatus(node: string, patch: object, as: string[]): Promise<string | undefined> {
  const url = `${server.server}/apis/enxame.dev/v1alpha1/nodecontents/${node}/status`;
  const claim = as[3]?.split('=');
  const { statusCode, body } = await request(url, {
    method: 'PATCH',
    dispatcher: administrator,
    headers: {
      'content-type': 'application/merge-patch+json',
      ...(as[1] === undefined ? {} : { 'impersonate-user': as[1] }),
      ...(claim === undefined ? {} : { [`impersonate-extra-${encodeURIComponent(claim[0]!)}`]: claim[1]! }),
    },
    body: JSON.stringify(patch),
  });
  const text = await body.text();
  return statusCode === 200 ? undefined : text;
}
const patchRevision = (patch: object, as: string[], ...more: string[]) =>
  kubectl(
    ...['patch', '--namespace=ml', 'contentrevision', contentRevision().metadata.name, '--type=merge'],
    ...['--patch', JSON.stringify(patch), ...more, ...as],
  );

beforeAll(async () => {
  server = await startControlPlane();
  administrator = connectAsAdministrator();
  await kubectl('create', 'namespace', NAMESPACE);
  await kubectl('create', 'namespace', 'ml');
  const objects = await render();
  const crds = objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
  await send(['create'], { apiVersion: 'v1', kind: 'List', items: crds }, ADMIN);
  await kubectl('wait', '--for=condition=Established', `--timeout=${PATIENCE * 30}s`, 'crd', '--all');
  const rest = objects.filter(({ kind }) => kind !== 'CustomResourceDefinition');
  await send(['create', '--validate=strict'], { apiVersion: 'v1', kind: 'List', items: rest }, ADMIN);
  // The API server takes up policies within a moment.
  const forged = () => send(['create', '--dry-run=server'], contentRevision(), ADMIN);
  for (let tries = 0; (await refusal(forged())) === undefined; tries += 1) {
    if (tries > 120) throw new Error('the policies do not take effect');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}, 180_000);

afterAll(async () => {
  await administrator?.close();
  await server?.close();
});

describe('a ContentRevision', () => {
  test('is made by the operator, and by nobody else', async () => {
    for (const forger of [ADMIN, agent('node-1'), account('kube-system:namespace-controller')])
      expect(await refusal(send(['create'], contentRevision(), forger))).toMatch(
        /only the operator may make|cannot create/,
      );
    expect(await refusal(send(['create'], contentRevision(), OPERATOR))).toBeUndefined();
  });

  test('is changed and deleted by the operator alone', async () => {
    const change = { spec: { paused: true } };
    expect(await refusal(patchRevision(change, ADMIN))).toContain(
      'only the operator may change or delete a ContentRevision',
    );
    expect(
      await refusal(
        patchRevision({ status: { readyAt: '2026-01-01T00:00:00Z' } }, ADMIN, '--subresource=status'),
      ),
    ).toContain('only the operator may change');
    expect(await refusal(patchRevision({ metadata: { labels: { a: 'b' } } }, ADMIN))).toContain(
      'only the operator',
    );
    expect(
      await refusal(kubectl('delete', '--namespace=ml', 'contentrevision', contentRevision().metadata.name)),
    ).toContain('only the operator may change or delete');
  });

  test('is written as it is by whoever migrates what is stored, and not otherwise', async () => {
    const path = ['contentrevision', contentRevision().metadata.name, '--namespace=ml'];
    const migrator = account('kube-system:storage-version-migrator-controller');
    const binding = ['clusterrolebinding', 'migrator', '--clusterrole=cluster-admin'];
    await kubectl('create', ...binding, '--serviceaccount=kube-system:storage-version-migrator-controller');
    const stored = JSON.parse(await kubectl('get', ...path, '-o', 'json'));
    expect(await refusal(send(['replace'], stored, migrator))).toBeUndefined();
    const withMetadata = (more: object) => ({ ...stored, metadata: { ...stored.metadata, ...more } });
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' };
    for (const changed of [
      { ...stored, spec: { ...stored.spec, activation: { ...stored.spec.activation, epoch: 1_000 } } },
      withMetadata({ labels: { ...stored.metadata.labels, more: 'x' } }),
      withMetadata({ annotations: { more: 'x' } }),
      withMetadata({ finalizers: ['example.com/held'] }),
      withMetadata({ ownerReferences: [owner] }),
    ])
      expect(await refusal(send(['replace'], changed, migrator))).toMatch(/only the operator may change/);
  });

  test('may be cleared away by those that clear up, and not be changed by them', async () => {
    const cleaner = [...account('kube-system:generic-garbage-collector'), '--as-group=system:masters'];
    expect(
      await refusal(patchRevision({ metadata: { finalizers: ['example.com/wait'] } }, cleaner)),
    ).toBeUndefined();
    expect(await refusal(patchRevision({ metadata: { finalizers: null } }, cleaner))).toBeUndefined();
    expect(await refusal(patchRevision({ spec: { paused: true } }, cleaner))).toContain(
      'only the operator may change spec or status',
    );
    const namespaces = [...account('kube-system:namespace-controller'), '--as-group=system:masters'];
    const gone = kubectl(
      'delete',
      '--namespace=ml',
      'contentrevision',
      contentRevision().metadata.name,
      ...namespaces,
    );
    expect(await refusal(gone)).toBeUndefined();
  });
});

describe('a NodeContent', () => {
  const mine = () => {
    const { status: _, spec: __, ...bare } = nodeContent();
    return { ...bare, metadata: { name: 'node-1' } };
  };
  const reservation = {
    uid: '11111111-1111-4111-8111-111111111111',
    attempt: 1,
    sourceState: '0'.repeat(16),
    distributionName: 'model',
    podNamespace: 'ml',
    podName: 'pod',
  };

  test('is made by the agent of its node, without a spec', async () => {
    expect(await refusal(send(['create'], mine(), agent('node-2')))).toContain(
      'an agent may write the NodeContent of its own node only, and node-1 is not that of this token',
    );
    const noClaim = account(`${NAMESPACE}:enxame-agent`);
    expect(await refusal(send(['create'], mine(), noClaim))).toContain('its own node only');
    const greedy = { ...mine(), spec: { publishing: [reservation] } };
    expect(await refusal(send(['create'], greedy, agent('node-1')))).toContain('without a spec');
    expect(await refusal(send(['create'], mine(), agent('node-1')))).toBeUndefined();
  });

  test('has its status from that agent alone', async () => {
    const status = { status: { agent: { version: '0.1.0' } } };
    const write = (as: string[]) => patchStatus('node-1', status, as);
    expect(await write(agent('node-2'))).toContain('its own node only');
    expect(await write(ADMIN)).toContain('only the agent of the node may write the status');
    expect(await write(OPERATOR)).toMatch(/cannot patch|only the agent/);
    expect(await write(agent('node-1'))).toBeUndefined();
  });

  test('has its spec from the operator and administrators, and never from an agent', async () => {
    const reserve = { spec: { publishing: [reservation] } };
    expect(await refusal(patchNode('node-1', reserve, agent('node-1')))).toBeDefined();
    expect(await patchStatus('node-1', { spec: { paused: true } }, agent('node-1'))).toBeUndefined();
    expect(await kubectl('get', 'nodecontent', 'node-1', '-o', 'jsonpath={.spec.paused}')).not.toBe('true');
    expect(await refusal(patchNode('node-1', reserve, OPERATOR))).toBeUndefined();
    expect(await refusal(patchNode('node-1', { spec: { paused: true } }, ADMIN))).toBeUndefined();
  });

  test('is not deleted by an agent', async () => {
    expect(await refusal(kubectl('delete', 'nodecontent', 'node-1', ...agent('node-1')))).toBeDefined();
    expect(await refusal(kubectl('delete', 'nodecontent', 'node-1'))).toBeUndefined();
  });

  test('of a privileged forger is still not another node’s', async () => {
    // As if the role gave an agent everything.
    const forger = [...agent('node-2'), '--as-group=system:masters'];
    await send(['create'], mine(), agent('node-1'));
    expect(await refusal(patchNode('node-1', { metadata: { labels: { a: 'b' } } }, forger))).toContain(
      'its own node only',
    );
    expect(await refusal(kubectl('delete', 'nodecontent', 'node-1', ...forger))).toContain(
      'its own node only',
    );
    const own = [...agent('node-1'), '--as-group=system:masters'];
    expect(await refusal(patchNode('node-1', { spec: { publishing: [reservation] } }, own))).toContain(
      'must not change the spec',
    );
    expect(await refusal(kubectl('delete', 'nodecontent', 'node-1', ...own))).toContain('must not delete');
  });
});

describe('roles', () => {
  const GROUPS: Readonly<Record<string, string>> = {
    ...{ contentdistributions: 'enxame.dev', contentrevisions: 'enxame.dev', nodecontents: 'enxame.dev' },
    ...{ deployments: 'apps', events: 'events.k8s.io', customresourcedefinitions: 'apiextensions.k8s.io' },
    tokenreviews: 'authentication.k8s.io',
  };

  /** `what` is a resource, `resource/subresource`, or `resource=name` where roles give names. */
  async function mayDo(program: string, verb: string, what: string, namespace: string): Promise<boolean> {
    const [path = '', name] = what.split('=');
    const [resource = '', subresource] = path.split('/');
    const { statusCode, body } = await request(
      `${server.server}/apis/authorization.k8s.io/v1/subjectaccessreviews`,
      {
        method: 'POST',
        dispatcher: administrator,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user: `system:serviceaccount:${NAMESPACE}:enxame-${program}`,
            groups: ['system:serviceaccounts', `system:serviceaccounts:${NAMESPACE}`, 'system:authenticated'],
            resourceAttributes: {
              ...{ verb, group: GROUPS[resource] ?? '', resource, subresource, namespace, name },
            },
          },
        }),
      },
    );
    const answer = (await body.json()) as { status?: { allowed?: boolean } };
    if (statusCode !== 201 || answer.status?.allowed === undefined) throw new Error(JSON.stringify(answer));
    return answer.status.allowed;
  }

  test.each([
    ['operator', 'get', 'secrets', 'ml'],
    ['operator', 'get', 'configmaps', 'ml'],
    ['operator', 'create', 'pods/exec', 'ml'],
    ['operator', 'patch', 'nodecontents/status', ''],
    ['operator', 'create', 'serviceaccounts/token', 'ml'],
    ['operator', 'delete', 'nodes', ''],
    ['operator', 'create', 'deployments', 'ml'],
    ['operator', 'delete', 'deployments=enxame-operator', NAMESPACE],
    ['tracker', 'get', 'secrets', NAMESPACE],
    ['tracker', 'list', 'pods', NAMESPACE],
    ['tracker', 'update', 'contentrevisions', 'ml'],
    ['agent', 'get', 'secrets', NAMESPACE],
    ['agent', 'list', 'contentdistributions', 'ml'],
    ['agent', 'create', 'contentrevisions', 'ml'],
    ['agent', 'patch', 'nodes', ''],
    ['agent', 'create', 'pods', 'ml'],
    ['agent', 'delete', 'persistentvolumes', ''],
    ['agent', 'list', 'services', 'ml'],
  ])('the %s may not %s %s', async (program, verb, what, namespace) => {
    expect(await mayDo(program, verb, what, namespace)).toBe(false);
  });

  // What the programs ask for while all goes well shows in other tests; this is what they ask for seldom.
  test.each([
    ['operator', 'get', 'contentdistributions', 'ml'],
    ['operator', 'get', 'contentrevisions', 'ml'],
    ['operator', 'get', 'pods', 'ml'],
    ['operator', 'get', 'persistentvolumeclaims', 'ml'],
    ['operator', 'update', 'persistentvolumes', ''],
    ['operator', 'patch', 'events', 'ml'],
    ['operator', 'delete', 'services=enxame-tracker-15', NAMESPACE],
    ['tracker', 'watch', 'contentrevisions', ''],
    ['tracker', 'create', 'tokenreviews', ''],
    ['agent', 'watch', 'pods', ''],
    ['agent', 'watch', 'persistentvolumes', ''],
    ['agent', 'list', 'contentrevisions', 'ml'],
    ['agent', 'get', 'customresourcedefinitions=contentrevisions.enxame.dev', ''],
    ['agent', 'create', 'tokenreviews', ''],
    ['agent', 'watch', 'services', NAMESPACE],
  ])('the %s may %s %s', async (program, verb, what, namespace) => {
    expect(await mayDo(program, verb, what, namespace)).toBe(true);
  });

  test('what users may do is added to the cluster’s own roles', async () => {
    // Adding it up is the controller manager's work, which does not run here.
    const role = JSON.parse(await kubectl('get', 'clusterrole', 'enxame-edit', '-o', 'json')) as object;
    expect(role).toMatchObject({
      metadata: { labels: { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' } },
      rules: [{ resources: ['contentdistributions'] }],
    });
  });

  test('a user’s distribution gets in', async () => {
    expect(await refusal(send(['create'], contentDistribution(), ADMIN))).toBeUndefined();
  });
});
