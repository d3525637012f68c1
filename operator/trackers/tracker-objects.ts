// The Deployment and the Service of one tracker replica. Each replica has its own, because its name is the key
// by which agents rank replicas: it must outlive its Pod.
import { createHash } from 'node:crypto';
import type {
  V1Deployment,
  V1OwnerReference,
  V1PodSpec,
  V1ResourceRequirements,
  V1Service,
} from '@kubernetes/client-node';
import { APP_NAME, Component, Label, Port, trackerName } from '../../api/index.ts';
import { LOG_LEVEL_VARIABLE } from '../log-level.ts';
import { restrictedContainer, restrictedPod } from '../pod-security.ts';

/** Where Pods of trackers may run. */
export type TrackerScheduling = Pick<
  V1PodSpec,
  'nodeSelector' | 'tolerations' | 'affinity' | 'priorityClassName' | 'topologySpreadConstraints'
>;

/** What the chart says about trackers. */
export interface TrackerSettings {
  readonly replicas: number;
  readonly namespace: string;
  /** The Helm release, so that two in one cluster are told apart. */
  readonly instance: string;
  readonly serviceAccount: string;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  /** Level of their logs. */
  readonly logLevel: string;
  readonly resources: V1ResourceRequirements;
  /** How much of an answer is of the asker's zone, in percent. */
  readonly zoneSharePercent: number;
  readonly scheduling: TrackerScheduling;
  /** The operator's own Deployment, with which the trackers go. */
  readonly owner: V1OwnerReference | undefined;
}

/** Annotation of a Deployment: hash of what it was made from. */
export const APPLIED_ANNOTATION = 'enxame.dev/applied';
/** Label that holds a replica's number. */
export const REPLICA_LABEL = 'enxame.dev/replica';

/** Labels by which everything of all trackers of this release is found. */
export function trackerLabels(instance: string): Record<string, string> {
  return { [Label.Name]: APP_NAME, [Label.Component]: Component.Tracker, [Label.Instance]: instance };
}

/** The Service of replica `index`; agents find replicas by these. */
export function trackerService(index: number, settings: TrackerSettings): V1Service {
  const labels = { ...trackerLabels(settings.instance), [REPLICA_LABEL]: String(index) };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: trackerName(index),
      namespace: settings.namespace,
      labels: { ...labels, [Label.ManagedBy]: APP_NAME },
      ...(settings.owner === undefined ? {} : { ownerReferences: [settings.owner] }),
    },
    spec: {
      selector: labels,
      ipFamilyPolicy: 'PreferDualStack',
      ports: [{ name: 'http', port: Port.Tracker, targetPort: 'http', protocol: 'TCP' }],
    },
  };
}

/** The Deployment of replica `index`. */
export function trackerDeployment(index: number, settings: TrackerSettings): V1Deployment {
  const labels = { ...trackerLabels(settings.instance), [REPLICA_LABEL]: String(index) };
  const spec = {
    replicas: 1,
    revisionHistoryLimit: 2,
    // Two Pods of one replica at once would each know half of a swarm. While it is away the other replica has all.
    strategy: { type: 'Recreate' },
    selector: { matchLabels: labels },
    template: {
      metadata: { labels: { ...labels, [Label.ManagedBy]: APP_NAME } },
      spec: trackerPod(settings),
    },
  };
  const applied = createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: trackerName(index),
      namespace: settings.namespace,
      labels: { ...labels, [Label.ManagedBy]: APP_NAME },
      annotations: { [APPLIED_ANNOTATION]: applied },
      ...(settings.owner === undefined ? {} : { ownerReferences: [settings.owner] }),
    },
    spec,
  };
}

function trackerPod(settings: TrackerSettings): V1PodSpec {
  const { scheduling, instance } = settings;
  return {
    serviceAccountName: settings.serviceAccount,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 15,
    imagePullSecrets: settings.imagePullSecrets.map((name) => ({ name })),
    securityContext: restrictedPod,
    ...scheduling,
    nodeSelector: { 'kubernetes.io/os': 'linux', ...scheduling.nodeSelector },
    affinity: scheduling.affinity ?? {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 100,
            podAffinityTerm: {
              topologyKey: 'kubernetes.io/hostname',
              labelSelector: { matchLabels: trackerLabels(instance) },
            },
          },
        ],
      },
    },
    containers: [
      {
        name: 'tracker',
        image: settings.image,
        imagePullPolicy: settings.imagePullPolicy,
        args: ['tracker', '--revisions', `--zone-share=${settings.zoneSharePercent}%`],
        ports: [{ name: 'http', containerPort: Port.Tracker, protocol: 'TCP' }],
        env: [
          { name: LOG_LEVEL_VARIABLE, value: settings.logLevel },
          { name: 'ENXAME_NAMESPACE', value: settings.namespace },
          { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
        ],
        resources: settings.resources,
        securityContext: restrictedContainer,
        readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 2, timeoutSeconds: 2 },
        livenessProbe: {
          httpGet: { path: '/healthz', port: 'http' },
          periodSeconds: 10,
          timeoutSeconds: 5,
          failureThreshold: 3,
        },
        startupProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 1, failureThreshold: 60 },
      },
    ],
  };
}
