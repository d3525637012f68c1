// The Deployment and the Service of one tracker replica. Each replica has its own, because its name is the key
// by which agents rank replicas: it must outlive its Pod.
import { createHash } from 'node:crypto';
import type {
  V1Deployment,
  V1OwnerReference,
  V1PodSpec,
  V1ResourceRequirements,
  V1Service,
  V1Toleration,
  V1WeightedPodAffinityTerm,
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
  /** Name of the Secret by which replicas believe each other; its key is `secret`. */
  readonly replicaSecret: string;
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

/** Where the replicas' Secret is mounted, and its key. */
const SECRET_FOLDER = '/etc/enxame/replicas';
const SECRET_KEY = 'secret';

/** A replica of a lost node starts elsewhere after this long, not after the usual five minutes. */
const LOST_NODE_SECONDS = 30;
const LOST_NODE_TOLERATIONS: readonly V1Toleration[] = ['not-ready', 'unreachable'].map((state) => ({
  key: `node.kubernetes.io/${state}`,
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: LOST_NODE_SECONDS,
}));

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
      ports: [
        { name: 'http', port: Port.Tracker, targetPort: 'http', protocol: 'TCP' },
        { name: 'udp', port: Port.Tracker, targetPort: 'udp', protocol: 'UDP' },
      ],
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
      spec: trackerPod(index, settings),
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

/** Trackers are kept apart from each other where that can be. */
function apart(topologyKey: string, weight: number, instance: string): V1WeightedPodAffinityTerm {
  return {
    weight,
    podAffinityTerm: { topologyKey, labelSelector: { matchLabels: trackerLabels(instance) } },
  };
}

function trackerPod(index: number, settings: TrackerSettings): V1PodSpec {
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
          apart('kubernetes.io/hostname', 100, instance),
          apart('topology.kubernetes.io/zone', 50, instance),
        ],
      },
    },
    tolerations: [...(scheduling.tolerations ?? []), ...LOST_NODE_TOLERATIONS],
    volumes: [{ name: 'replica-secret', secret: { secretName: settings.replicaSecret } }],
    containers: [
      {
        name: 'tracker',
        image: settings.image,
        imagePullPolicy: settings.imagePullPolicy,
        args: [
          ...['tracker', '--revisions', '--udp', `--zone-share=${settings.zoneSharePercent}%`],
          ...['--name', trackerName(index), '--replica-services'],
          ...['--replica-secret-file', `${SECRET_FOLDER}/${SECRET_KEY}`],
        ],
        ports: [
          { name: 'http', containerPort: Port.Tracker, protocol: 'TCP' },
          { name: 'udp', containerPort: Port.Tracker, protocol: 'UDP' },
        ],
        volumeMounts: [{ name: 'replica-secret', mountPath: SECRET_FOLDER, readOnly: true }],
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
