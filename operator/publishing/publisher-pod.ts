// The Pod that reads a source: in the user's namespace, under Pod Security *restricted*, without access to the
// API. Secrets and ConfigMaps are mounted natively; nobody reads them through the API.
import type {
  V1Container,
  V1Pod,
  V1ResourceRequirements,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import {
  API_VERSION,
  APP_NAME,
  CONFIG_MAP_MOUNT_PATH,
  CONTENT_DISTRIBUTION,
  Component,
  type ContentDistribution,
  HEADERS_MOUNT_PATH,
  HEADERS_SECRET_KEY,
  INGEST_AUDIENCE,
  INGEST_TOKEN_PATH,
  Label,
  Port,
  PublisherEnv,
  parseQuantity,
  type Reservation,
  sourceVariables,
} from '../../api/index.ts';
import { LOG_LEVEL_VARIABLE } from '../log-level.ts';
import { restrictedContainer, restrictedPod } from '../pod-security.ts';

/** Seconds that a token of a publisher is valid; the kubelet renews it. The API server's least is 600. */
const TOKEN_SECONDS = 3600;
/** How long a publisher stays on a node that does not answer. */
const LOST_NODE_SECONDS = 30;
/** Where certificate authorities of the cluster's own are mounted. */
const AUTHORITIES_MOUNT_PATH = '/var/run/enxame/authorities';
const AUTHORITIES_FILE = 'ca.crt';

/** What the chart says about publishers. */
export interface PublisherSettings {
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  /** Level of its log. */
  readonly logLevel: string;
  readonly resources: V1ResourceRequirements;
  /** The longest a publisher may run, in seconds. */
  readonly deadlineSeconds: number;
  /** How long a source may send nothing, in seconds. */
  readonly stallSeconds: number;
  readonly deniedCidrs: readonly string[];
  readonly allowedCidrs: readonly string[];
  /** More environment variables, such as those of a proxy. */
  readonly environment: { readonly [name: string]: string };
  /** A ConfigMap of the user's namespace with certificate authorities to trust. */
  readonly authorities: { readonly configMap: string; readonly key: string } | undefined;
}

/** `http://ADDRESS:PORT` of an agent; IPv6 in brackets. */
export function ingestUrl(address: string): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${Port.Agent}`;
}

/** The ingest URL that a publisher Pod was made with. */
export function ingestUrlOf(pod: V1Pod): string | undefined {
  return pod.spec?.containers[0]?.env?.find(({ name }) => name === PublisherEnv.IngestUrl)?.value;
}

/** The number of the attempt that a publisher Pod belongs to; 0 for none. */
export function attemptOf(pod: V1Pod): number {
  const attempt = Number(pod.metadata?.labels?.[Label.Attempt]);
  return Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 0;
}

function environment(
  { spec, metadata }: ContentDistribution,
  reservation: Reservation,
  url: string,
  settings: PublisherSettings,
): { name: string; value: string }[] {
  const own: [string, string | undefined][] = [
    [LOG_LEVEL_VARIABLE, settings.logLevel],
    [PublisherEnv.IngestUrl, url],
    [PublisherEnv.Uid, metadata.uid],
    [PublisherEnv.Attempt, String(reservation.attempt)],
    [PublisherEnv.SourceState, reservation.sourceState],
    ...sourceVariables(spec.source),
    [
      PublisherEnv.SizeLimit,
      spec.source.sizeLimit === undefined ? undefined : String(parseQuantity(spec.source.sizeLimit)),
    ],
    [PublisherEnv.DeniedCidrs, settings.deniedCidrs.join(',')],
    [PublisherEnv.AllowedCidrs, settings.allowedCidrs.join(',')],
    [PublisherEnv.SourceStallSeconds, String(settings.stallSeconds)],
    [
      'NODE_EXTRA_CA_CERTS',
      settings.authorities === undefined ? undefined : `${AUTHORITIES_MOUNT_PATH}/${AUTHORITIES_FILE}`,
    ],
  ];
  // Each name once: what the chart's values repeat of our own does not count.
  const variables = new Map(Object.entries(settings.environment));
  for (const [name, value] of own) if (value !== undefined) variables.set(name, value);
  // `$(NAME)` in a value would be replaced by the kubelet; `$$` is a dollar.
  return [...variables].map(([name, value]) => ({ name, value: value.replaceAll('$', '$$$$') }));
}

interface Mounted {
  readonly volume: V1Volume;
  readonly mount: V1VolumeMount;
}

/**
 * What a publisher sees of its namespace. Optional, because a Pod that waits for a missing Secret says nothing,
 * while a publisher that does not find it says what is missing.
 */
function mounts({ spec }: ContentDistribution, settings: PublisherSettings): Mounted[] {
  const slash = INGEST_TOKEN_PATH.lastIndexOf('/');
  const mounted: Mounted[] = [
    {
      volume: {
        name: 'token',
        projected: {
          sources: [
            {
              serviceAccountToken: {
                audience: INGEST_AUDIENCE,
                expirationSeconds: TOKEN_SECONDS,
                path: INGEST_TOKEN_PATH.slice(slash + 1),
              },
            },
          ],
        },
      },
      mount: { name: 'token', mountPath: INGEST_TOKEN_PATH.slice(0, slash), readOnly: true },
    },
  ];
  const headers = spec.source.http?.headersSecretRef;
  if (headers !== undefined) {
    mounted.push({
      volume: {
        name: 'headers',
        // One key by name: no other key of any Secret can be sent to a source.
        secret: {
          secretName: headers.name,
          optional: true,
          items: [{ key: HEADERS_SECRET_KEY, path: HEADERS_SECRET_KEY }],
        },
      },
      mount: { name: 'headers', mountPath: HEADERS_MOUNT_PATH, readOnly: true },
    });
  }
  if (spec.source.configMap !== undefined) {
    mounted.push({
      volume: { name: 'config-map', configMap: { name: spec.source.configMap.name, optional: true } },
      mount: { name: 'config-map', mountPath: CONFIG_MAP_MOUNT_PATH, readOnly: true },
    });
  }
  const { authorities } = settings;
  if (authorities !== undefined) {
    mounted.push({
      volume: {
        name: 'authorities',
        configMap: {
          name: authorities.configMap,
          optional: true,
          items: [{ key: authorities.key, path: AUTHORITIES_FILE }],
        },
      },
      mount: { name: 'authorities', mountPath: AUTHORITIES_MOUNT_PATH, readOnly: true },
    });
  }
  return mounted;
}

/** The publisher Pod of a reservation, for the agent at `agentAddress`. */
export function publisherPod(
  distribution: ContentDistribution,
  reservation: Reservation,
  agentAddress: string,
  settings: PublisherSettings,
): V1Pod {
  const { name, namespace, uid = '' } = distribution.metadata;
  const mounted = mounts(distribution, settings);
  const container: V1Container = {
    name: 'publisher',
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['publish'],
    env: environment(distribution, reservation, ingestUrl(agentAddress), settings),
    resources: settings.resources,
    volumeMounts: mounted.map(({ mount }) => mount),
    // Not the log: it may hold URLs in full, and what ends in the Pod's status is read by more people.
    terminationMessagePolicy: 'File',
    securityContext: restrictedContainer,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: reservation.podName,
      namespace,
      labels: {
        [Label.Name]: APP_NAME,
        [Label.Component]: Component.Publisher,
        [Label.ManagedBy]: APP_NAME,
        [Label.Distribution]: name,
        [Label.DistributionUid]: uid,
        [Label.Attempt]: String(reservation.attempt),
      },
      // An autoscaler that moves the Pod costs an attempt; the bytes so far stay with the agent.
      annotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false' },
      ownerReferences: [
        { apiVersion: API_VERSION, kind: CONTENT_DISTRIBUTION.kind, name, uid, controller: true },
      ],
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      activeDeadlineSeconds: settings.deadlineSeconds,
      terminationGracePeriodSeconds: 10,
      imagePullSecrets: settings.imagePullSecrets.map((secret) => ({ name: secret })),
      securityContext: restrictedPod,
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      // The API server's own default is 5 minutes; a publisher loses nothing by being replaced.
      tolerations: ['not-ready', 'unreachable'].map((what) => ({
        key: `node.kubernetes.io/${what}`,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: LOST_NODE_SECONDS,
      })),
      containers: [container],
      volumes: mounted.map(({ volume }) => volume),
    },
  };
}
