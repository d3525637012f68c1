/** Pods of the tests: they run the project's own image, and are legal under Pod Security "restricted". */
import type { V1Pod } from '@kubernetes/client-node';
import { PODS } from '../../../kube/resource-types.ts';
import { RELEASE, SYSTEM_NAMESPACE } from './chart.ts';
import { kubectl, resource } from './environment.ts';
import { until } from './until.ts';

export const NODE_PROGRAM = '/usr/local/bin/node';

export const restrictedPod = {
  restartPolicy: 'Never',
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 1,
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
};

export const restrictedContainer = {
  imagePullPolicy: 'IfNotPresent',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
};

/** The image that the agents run: it is on every node. */
export async function image(): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  return kubectl(['-n', SYSTEM_NAMESPACE, 'get', `daemonset/${RELEASE}-agent`, '--output', path]);
}

/** Pods of one of our programs. */
export async function podsOf(component: 'agent' | 'operator' | 'tracker'): Promise<V1Pod[]> {
  const labelSelector = `app.kubernetes.io/name=enxame,app.kubernetes.io/component=${component}`;
  const { items } = await resource<V1Pod>(PODS).list({ namespace: SYSTEM_NAMESPACE, labelSelector });
  return items;
}

/** The agent's Pod on a node. */
export async function agentOn(node: string): Promise<V1Pod> {
  const found = (await podsOf('agent')).find(
    ({ spec, metadata }) => spec?.nodeName === node && metadata?.deletionTimestamp === undefined,
  );
  if (found === undefined) throw new Error(`no agent runs on ${node}`);
  return found;
}

/** Waits until a Pod has ended, and returns what it printed. @throws if it failed */
export async function outputOf(namespace: string, name: string, seconds = 60): Promise<string> {
  const pod = await until(
    `Pod ${name} has ended`,
    () => resource<V1Pod>(PODS).get(name, { namespace }),
    ({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed',
    seconds,
  );
  if (pod.status?.phase === 'Succeeded') return kubectl(['-n', namespace, 'logs', name]);
  const output = await kubectl(['-n', namespace, 'logs', name, '--all-containers', '--ignore-errors']);
  throw new Error(`Pod ${name} failed; it printed:\n${output}`);
}
