// What agents obey and say cannot be forged.
import { afterAll, expect } from '@jest/globals';
import type { ContentRevision } from '../../api/index.ts';
import { RELEASE, SYSTEM_NAMESPACE } from './harness/chart.ts';
import { fromFiles } from './harness/distribution.ts';
import { api, disconnect, kubectl } from './harness/environment.ts';
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
      spec: { ...revision.spec, revision: '000000000000', sequence: 99, activation: { epoch: 99 } },
    };
    const create = kubectl(['create', '--filename', '-'], JSON.stringify(forged));
    expect(await refusal(create)).toMatch(/ValidatingAdmissionPolicy.*operator/s);
    const name = revision.metadata.name;
    const patch = JSON.stringify({ spec: { infoHash: 'f'.repeat(40) } });
    const change = kubectl(['-n', namespace, 'patch', 'crev', name, '--type=merge', '--patch', patch]);
    expect(await refusal(change)).toMatch(/ValidatingAdmissionPolicy|Forbidden|forbidden|immutable/);
  },
);

scenario("an agent can write its own node's NodeContent and no other", async () => {
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
  const server = await kubectl([
    'config',
    'view',
    '--raw',
    '--output',
    'jsonpath={.clusters[0].cluster.server}',
  ]);
  const patchAs = (node: string, subresource: string[], body: object) =>
    kubectl([
      ...[`--server=${server}`, `--token=${status.token}`, '--kubeconfig=/dev/null'],
      ...['--insecure-skip-tls-verify', 'patch', 'nodecontent', node, ...subresource],
      ...['--type=merge', '--patch', JSON.stringify(body)],
    ]);
  const harmless = { status: { agent: { version: 'x' } } };
  expect(await refusal(patchAs(own, ['--subresource=status'], harmless))).toBe('nothing was refused');
  expect(await refusal(patchAs(other, ['--subresource=status'], harmless))).toMatch(
    /ValidatingAdmissionPolicy/,
  );
  expect(await refusal(patchAs(own, [], { spec: { paused: true } }))).toMatch(
    /forbidden|ValidatingAdmissionPolicy/,
  );
});

scenario('a publisher without a token of its reservation is turned away', async () => {
  const [node = ''] = await nodeNames();
  const pod = (await agentOn(node)).metadata!.name!;
  const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${pod}:9100/proxy/ingest/00000000-0000-4000-8000-000000000000/1`;
  await expect(api.json({ method: 'GET', path })).rejects.toMatchObject({ code: 401 });
});
