// The agent as it is shipped, against a real API server, with the roles and policies of the chart and the token of a
// Pod: it makes its NodeContent, knows a publisher by its token, follows revisions, and keeps content through
// what an API server may do to it.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ContentRevision, NodeContent } from '../../../api/index.ts';
import { VERSION } from '../../../cli/version.ts';
import { reservationOf, revisionOf, SOURCE_STATE, UID } from '../../agent/fake-cluster.ts';
import { removeTemporaryFolders, TestPublisher, temporaryFolder } from '../../agent/harness.ts';
import { until } from '../../base/until.ts';
import { enxame, type Run, shippedProgram } from '../../cli/enxame-process.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { freeLoopbackPorts } from '../../cluster/loopback-ports.ts';
import { PATIENCE } from '../../patience.ts';
import { NAMESPACE, render } from '../chart/render.ts';

const NODE = 'node-a';
const OPERATOR = ['--as', `system:serviceaccount:${NAMESPACE}:enxame-operator`];
const BYTES = randomBytes(500_000);

let server: ControlPlane;
let root: string;
let url: string;
let agent: Run;
let env: Record<string, string>;

const kubectl = (...args: string[]): Promise<string> => server.kubectl(args);
const create = (object: object, ...as: string[]): Promise<string> =>
  server.kubectl(['create', '-f', '-', ...as], JSON.stringify(object));

async function nodeContent(): Promise<NodeContent> {
  return JSON.parse(await kubectl('get', 'nodecontent', NODE, '-o', 'json')) as NodeContent;
}

async function untilNodeContent(condition: (object: NodeContent) => boolean): Promise<NodeContent> {
  let last: NodeContent | undefined;
  await until(
    () => `${JSON.stringify(last, null, 1)}\n${agent.lines.join('\n')}`,
    async () => {
      try {
        last = await nodeContent();
      } catch {
        return false;
      }
      return condition(last);
    },
  );
  return last!;
}

/** A Pod, and a token of it. */
async function podToken(
  namespace: string,
  name: string,
  account: string,
  audience: string[],
  nodeName = NODE,
): Promise<{ token: string; uid: string }> {
  await create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      nodeName,
      serviceAccountName: account,
      automountServiceAccountToken: false,
      containers: [{ name: 'c', image: 'none' }],
    },
  });
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${name}`];
  const token = await kubectl('create', 'token', account, `--namespace=${namespace}`, ...bound, ...audience);
  const uid = await kubectl('get', 'pod', name, `--namespace=${namespace}`, '-o', 'jsonpath={.metadata.uid}');
  return { token: token.trim(), uid };
}

function startAgent(): void {
  agent = enxame(['agent'], env);
}

async function endAgent(): Promise<void> {
  agent.child.kill('SIGTERM');
  expect(await agent.ended).toMatchObject({ code: 0, stderr: '' });
}

/** What an agent on a node is started with: a kubeconfig with the token of its Pod, and ports of its own. */
async function environmentOf(node: string, contentRoot: string): Promise<Record<string, string>> {
  await create({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } });
  const { token, uid } = await podToken(NAMESPACE, `enxame-agent-${node}`, 'enxame-agent', [], node);
  const kubeconfig = join(await temporaryFolder(), 'kubeconfig');
  await writeFile(kubeconfig, await readFile(server.kubeconfigPath), { mode: 0o600 });
  const config = `--kubeconfig=${kubeconfig}`;
  await kubectl('config', config, 'set-credentials', 'agent', `--token=${token}`);
  await kubectl('config', config, 'set-context', '--current', '--user=agent');
  const [httpPort, peerPort] = await freeLoopbackPorts(2);
  return {
    KUBECONFIG: kubeconfig,
    NODE_NAME: node,
    POD_NAMESPACE: NAMESPACE,
    POD_UID: uid,
    POD_IP: '127.0.0.1',
    ENXAME_CONTENT_ROOT: contentRoot,
    ENXAME_HTTP_PORT: String(httpPort),
    ENXAME_PEER_PORT: String(peerPort),
  };
}

/**
 * Runs the publisher as it is shipped. Its Pod would have its token and its source mounted at fixed paths: here it has
 * a name space of mounts of its own.
 */
async function publish(token: string): Promise<{ code: number | null; stderr: string }> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'enxame', 'token'), { recursive: true });
  await mkdir(join(folder, 'enxame', 'config-map'));
  await writeFile(join(folder, 'enxame', 'token', 'token'), token);
  await writeFile(join(folder, 'enxame', 'config-map', 'file'), BYTES);
  const mountAndRun = 'mount --bind "$1" /run && shift && exec "$@"';
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const program = [process.execPath, shippedProgram(), 'publish'];
  const child = spawn(
    'unshare',
    [...asRoot, '--mount', 'sh', '-euc', mountAndRun, 'sh', folder, ...program],
    {
      env: {
        PATH: process.env.PATH,
        ENXAME_INGEST_URL: url,
        ENXAME_UID: UID,
        ENXAME_ATTEMPT: '1',
        ENXAME_SOURCE_STATE: SOURCE_STATE,
        ENXAME_SOURCE: JSON.stringify({ configMap: { name: 'model' } }),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const stderr = text(child.stderr);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stderr: await stderr };
}

beforeAll(async () => {
  server = await startControlPlane();
  await kubectl('create', 'namespace', NAMESPACE);
  await kubectl('create', 'namespace', 'ml');
  const objects = await render();
  const crds = objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
  await create({ apiVersion: 'v1', kind: 'List', items: crds });
  await kubectl('wait', '--for=condition=Established', `--timeout=${PATIENCE * 30}s`, 'crd', '--all');
  const rest = objects.filter(({ kind }) => kind !== 'CustomResourceDefinition');
  await create({ apiVersion: 'v1', kind: 'List', items: rest });
  await create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'ml' } });

  root = join(await temporaryFolder(), 'content-root');
  await mkdir(root);
  env = await environmentOf(NODE, root);
  url = `http://127.0.0.1:${env.ENXAME_HTTP_PORT}`;
  startAgent();
});

afterAll(async () => {
  agent?.child.kill('SIGKILL');
  await agent?.ended;
  await server?.close();
  await removeTemporaryFolders();
});

test('makes its NodeContent, owned by its Node, and makes it anew', async () => {
  const owner = JSON.parse(await kubectl('get', 'node', NODE, '-o', 'json')) as { metadata: { uid: string } };
  const first = await untilNodeContent(({ status }) => status?.agent !== undefined);
  expect(first.metadata.ownerReferences).toEqual([
    { apiVersion: 'v1', kind: 'Node', name: NODE, uid: owner.metadata.uid },
  ]);
  expect(first.status?.agent).toEqual({
    version: VERSION,
    podUID: env.POD_UID,
    address: '127.0.0.1',
  });
  expect(first.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True');
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  await kubectl('delete', 'nodecontent', NODE);
  const second = await untilNodeContent(({ status }) => status?.agent !== undefined);
  expect(second.metadata.uid).not.toBe(first.metadata.uid);
});

let object: ContentRevision;

test('takes content from the Pod that a reservation names, by its token, and from no other', async () => {
  const audience = ['--audience=enxame.dev/ingest'];
  const publisher = await podToken('ml', 'publisher', 'default', audience);
  const stranger = await podToken('ml', 'stranger', 'default', audience);
  const wrongAudience = (await kubectl('create', 'token', 'default', '--namespace=ml')).trim();
  const publishing = [reservationOf({ podUID: publisher.uid, podName: 'publisher' })];
  const patch = JSON.stringify({ spec: { publishing } });
  await kubectl('patch', 'nodecontent', NODE, '--type=merge', '--patch', patch, ...OPERATOR);
  await untilNodeContent(({ status }) => status?.publishing?.[0]?.phase === 'Reserved');

  expect((await new TestPublisher(url, { token: stranger.token }).status()).body.code).toBe('WrongPod');
  expect((await new TestPublisher(url, { token: wrongAudience }).status()).body.code).toBe('Unauthenticated');
  expect(await publish(publisher.token)).toEqual({ code: 0, stderr: '' });
  const { status } = await untilNodeContent((seen) => seen.status?.publishing?.[0]?.phase === 'Published');
  object = revisionOf(status!.publishing![0]!);
});

test('shows a revision as soon as its object is there', async () => {
  await create(object, ...OPERATOR);
  const patch = JSON.stringify({ spec: { publishing: [] } });
  await kubectl('patch', 'nodecontent', NODE, '--type=merge', '--patch', patch, ...OPERATOR);
  await untilNodeContent(({ status }) => status?.revisions?.[0]?.active === true);
  const shown = await readFile(join(root, 'by-name', 'ml', 'model', 'current', 'file'));
  expect(shown.equals(BYTES)).toBe(true);
});

test('keeps and serves everything while the API server is away, also over a restart, and goes on with it', async () => {
  await server.stopApiServer();
  const torrent = `${url}/torrents/${object.spec.infoHash}.torrent`;
  expect((await fetch(torrent)).status).toBe(200);
  await endAgent();
  startAgent();
  await until(
    () => agent.lines.join('\n'),
    async () => (await fetch(torrent).catch(() => undefined))?.status === 200,
  );
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  await server.startApiServer();
  await until(
    () => agent.lines.join('\n'),
    async () => (await fetch(`${url}/readyz`)).status === 200,
    60,
  );
  const patch = JSON.stringify({ spec: { storage: { capacity: '1Gi' } } });
  await kubectl('patch', 'nodecontent', NODE, '--type=merge', '--patch', patch);
  await until(
    'the metrics show the capacity',
    async () => /kind="capacity"} 1073741824/.test(await (await fetch(`${url}/metrics`)).text()),
    60,
  );
  const shown = await readFile(join(root, 'by-name', 'ml', 'model', 'current', 'file'));
  expect(shown.equals(BYTES)).toBe(true);
});

test('keeps its files when the kind itself is deleted', async () => {
  await kubectl('delete', 'crd', 'contentrevisions.enxame.dev');
  // Ten seconds after the event it would be due; the answer makes it an absence of an hour.
  const deletions = async () => readFile(join(root, 'state', 'deletions.json'), 'utf8').catch(() => '');
  await until(
    () => agent.lines.join('\n'),
    async () => (await deletions()).includes('"list"'),
  );
  expect(await readdir(join(root, 'by-name', 'ml'))).toEqual(['model']);
  const crds = (await render()).filter(({ metadata }) => metadata.name === 'contentrevisions.enxame.dev');
  await create({ apiVersion: 'v1', kind: 'List', items: crds });
  await kubectl(
    'wait',
    '--for=condition=Established',
    `--timeout=${PATIENCE * 30}s`,
    'crd',
    'contentrevisions.enxame.dev',
  );
  await create(object, ...OPERATOR);
  await until(
    () => agent.lines.join('\n'),
    async () => !(await deletions()).includes('"list"'),
    60,
  );
  const shown = await readFile(join(root, 'by-name', 'ml', 'model', 'current', 'file'));
  expect(shown.equals(BYTES)).toBe(true);
});

test('removes what was deleted', async () => {
  await kubectl('delete', 'contentrevision', '--namespace=ml', object.metadata.name, ...OPERATOR);
  await until(
    () => agent.lines.join('\n'),
    async () => (await readdir(join(root, 'content'))).length === 0,
  );
  expect(await readdir(join(root, 'by-name', 'ml'))).toEqual([]);
  await untilNodeContent(({ status }) => (status?.revisions ?? []).length === 0);
});

test('ends in good order when it is told to', async () => {
  await endAgent();
  const errors = agent.lines.filter((line) => line.includes('"level":"error"'));
  expect(errors.filter((line) => !line.includes('deletion waits: 1 of 1'))).toEqual([]);
});

test('holds less than 120 MB of memory when it has nothing to do', async () => {
  const idle = enxame(['agent'], await environmentOf('node-b', await temporaryFolder()));
  try {
    await until(
      () => idle.lines.join('\n'),
      async () =>
        (await kubectl('get', 'nodecontent', 'node-b', '-o', 'jsonpath={.status.agent.version}').catch(
          () => '',
        )) !== '',
    );
    const status = await readFile(`/proc/${idle.child.pid}/status`, 'utf8');
    const highest = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
    expect(highest).toBeGreaterThan(20e6);
    expect(highest).toBeLessThan(120e6);
  } finally {
    idle.child.kill('SIGTERM');
    expect(await idle.ended).toMatchObject({ code: 0, stderr: '' });
  }
});
