// Agents' tokens, judged by a real API server.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { agentJudge } from '../../../cli/cluster/agent-judge.ts';
import { loadKubeConfig } from '../../../kube/access.ts';
import { createClient, type KubeClient } from '../../../kube/client.ts';
import { PODS } from '../../../kube/resource-types.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { recordingLogger } from '../../kube/logs.ts';

let plane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane();
  process.env.KUBECONFIG = plane.kubeconfigPath;
  client = createClient(loadKubeConfig({}), { userAgent: 'enxame-test', logger: recordingLogger() });
}, 900_000);

afterAll(async () => {
  await client?.close();
  await plane?.close();
});

test('the token of an agent’s Pod names its node; no other token is good', async () => {
  for (const account of ['enxame-agent', 'other']) {
    await plane.kubectl(['create', 'serviceaccount', account]);
    await client.resource<V1Pod>(PODS).create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: account, namespace: 'default' },
      spec: {
        nodeName: 'n1',
        serviceAccountName: account,
        automountServiceAccountToken: false,
        containers: [{ name: 'c', image: 'none' }],
      },
    });
  }
  const tokenOf = async (account: string, audience: string) =>
    (
      await plane.kubectl([
        ...['create', 'token', account, `--audience=${audience}`],
        ...['--bound-object-kind=Pod', `--bound-object-name=${account}`],
      ])
    ).trim();
  const judge = agentJudge('default/enxame-agent', { logger: recordingLogger() });
  expect(await judge(await tokenOf('enxame-agent', 'enxame-tracker'))).toEqual({ node: 'n1' });
  expect(await judge(await tokenOf('enxame-agent', 'enxame.dev/ingest'))).toBeUndefined();
  expect(await judge(await tokenOf('other', 'enxame-tracker'))).toBeUndefined();
  expect(await judge('forged')).toBeUndefined();
});
