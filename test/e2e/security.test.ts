// What agents obey and say cannot be forged.
import { afterAll, expect } from '@jest/globals';
import { API_VERSION, type ContentRevision } from '../../api/index.ts';
import { loadKubeConfig } from '../../kube/access.ts';
import { Transport } from '../../kube/transport.ts';
import { RELEASE, SYSTEM_NAMESPACE } from './harness/chart.ts';
import { fromFiles } from './harness/distribution.ts';
import { api, disconnect, KUBECONFIG, kubectl } from './harness/environment.ts';
import { nodeNames } from './harness/nodes.ts';
import { agentOn } from './harness/pods.ts';
import { scenario } from './harness/scenario.ts';

afterAll(disconnect);

/** What kubectl prints as error. */
async function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'nothing was refused',
    (error: Error & { stderr?: string }) => error.stderr ?? error.message,
  );
}

scenario(
  'a ContentRevision that the operator did not make is refused, and its own cannot be changed',
  async (world) => {
    const { namespace } = world;
    const source = await world.startSource();
    const distribution = world.distribution('genuine');
    await distribution.apply(fromFiles([source.file('a.bin', 'a', 1000)]));
    await distribution.waitReady();
    const [revision] = (await distribution.revisions()) as [ContentRevision];
    const forged = {
      apiVersion: revision.apiVersion,
      kind: revision.kind,
      metadata: { name: 'genuine-000000000000', namespace },
      spec: {
        ...revision.spec,
        revision: '000000000000',
        digest: `sha256:${'0'.repeat(64)}`,
        sequence: 99,
        activation: { epoch: 99 },
      },
    };
    const create = kubectl(['create', '--filename', '-'], JSON.stringify(forged));
    expect(await refusal(create)).toMatch(/ValidatingAdmissionPolicy.*operator/s);
    const name = revision.metadata.name;
    const patch = JSON.stringify({ spec: { infoHash: 'f'.repeat(40) } });
    const change = kubectl(['-n', namespace, 'patch', 'crev', name, '--type=merge', '--patch', patch]);
    expect(await refusal(change)).toMatch(/ValidatingAdmissionPolicy|Forbidden|forbidden|immutable/);
  },
);

scenario("an agent can write its own node's NodeContent and no other", async (world) => {
  const [own = '', other = ''] = await nodeNames();
  const pod = (await agentOn(own)).metadata!;
  // A token as the agent's own Pod has one: bound to the Pod, so it names the node.
  const { status } = (await api.json({
    method: 'POST',
    path: `/api/v1/namespaces/${SYSTEM_NAMESPACE}/serviceaccounts/${RELEASE}-agent/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid } },
    },
  })) as { status: { token: string } };
  const access = loadKubeConfig({ kubeconfig: KUBECONFIG });
  const { url, tls } = await access.endpoint();
  const asAgent = new Transport(
    {
      source: 'the token of an agent',
      endpoint: async () => ({ url, tls: tls.ca === undefined ? {} : { ca: tls.ca } }),
      credentials: async () => ({ authorization: `Bearer ${status.token}` }),
    },
    { userAgent: 'enxame-e2e', logger: { debug() {}, info() {}, warn() {}, error() {} } },
  );
  world.finally(() => asAgent.close());
  const patch = (path: string, body: object) =>
    asAgent.json({
      method: 'PATCH',
      path: `/apis/${API_VERSION}/nodecontents/${path}`,
      contentType: 'application/merge-patch+json',
      body,
    });
  const harmless = { status: { agent: { version: 'x' } } };
  await patch(`${own}/status`, harmless);
  await expect(patch(`${other}/status`, harmless)).rejects.toThrow(/ValidatingAdmissionPolicy/);
  const paused = { spec: { paused: true } };
  await expect(patch(own, paused)).rejects.toThrow(/forbidden/);
  await expect(patch(`${own}/status`, { ...paused, ...harmless })).resolves.not.toMatchObject(paused);
});

scenario('a publisher without a token of its reservation is turned away', async () => {
  const [node = ''] = await nodeNames();
  const pod = (await agentOn(node)).metadata!.name!;
  const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${pod}:9100/proxy/ingest/00000000-0000-4000-8000-000000000000/1`;
  await expect(api.json({ method: 'GET', path })).rejects.toMatchObject({ code: 401 });
});
