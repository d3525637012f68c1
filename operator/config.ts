// The operator's settings, from the environment that the chart gives it.
import type { V1ResourceRequirements } from '@kubernetes/client-node';
import { Port } from '../api/index.ts';
import { OperatorError } from './errors.ts';
import { LOG_LEVEL_VARIABLE } from './log-level.ts';
import type { PublisherSettings } from './publishing/publisher-pod.ts';
import type { TrackerScheduling, TrackerSettings } from './trackers/tracker-objects.ts';

/** Environment variables, as processes have them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the operator is told. */
export interface OperatorConfig {
  readonly namespace: string;
  /** Name of this replica; it is its identity in the election. */
  readonly podName: string;
  /** Name of the operator's own Deployment, which owns the trackers; undefined outside of a cluster. */
  readonly deployment: string | undefined;
  readonly contentRoot: string;
  readonly port: number;
  readonly publisher: PublisherSettings;
  /** Complete but for the owner, who is read from the API. */
  readonly tracker: Omit<TrackerSettings, 'owner'>;
}

function wrong(name: string, what: string, cause?: unknown): OperatorError {
  return new OperatorError('InvalidConfiguration', `environment variable ${name} must be ${what}`, { cause });
}

function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw wrong(name, 'set; the chart does it');
  return value;
}

function wholeNumber(env: Environment, name: string, fallback: number, least: number, most: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most)
    throw wrong(name, `a whole number from ${least} to ${most}`);
  return value;
}

function list(env: Environment, name: string): string[] {
  return (env[name] ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function jsonObject(env: Environment, name: string): Record<string, unknown> {
  const text = env[name];
  if (text === undefined || text === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(name, 'a JSON object', error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'a JSON object');
  return value as Record<string, unknown>;
}

function textMap(env: Environment, name: string): Record<string, string> {
  const value = jsonObject(env, name);
  if (Object.values(value).some((item) => typeof item !== 'string'))
    throw wrong(name, 'a JSON object whose values are strings');
  return value as Record<string, string>;
}

function authorities(env: Environment): PublisherSettings['authorities'] {
  const name = 'ENXAME_PUBLISHER_CA_CONFIG_MAP';
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  const [configMap = '', key = '', ...rest] = text.split('/');
  if (configMap === '' || key === '' || rest.length > 0) throw wrong(name, 'NAME/KEY');
  return { configMap, key };
}

const DEFAULT_PUBLISHER_RESOURCES: V1ResourceRequirements = {
  requests: { cpu: '100m', memory: '96Mi' },
  limits: { memory: '256Mi' },
};
const DEFAULT_TRACKER_RESOURCES: V1ResourceRequirements = {
  requests: { cpu: '50m', memory: '96Mi' },
  limits: { memory: '512Mi' },
};

function resources(env: Environment, name: string, fallback: V1ResourceRequirements): V1ResourceRequirements {
  return env[name] === undefined || env[name] === '' ? fallback : jsonObject(env, name);
}

/** Reads the settings. Throws OperatorError InvalidConfiguration that names the variable. */
export function readConfig(env: Environment): OperatorConfig {
  const namespace = required(env, 'POD_NAMESPACE');
  const image = required(env, 'ENXAME_IMAGE');
  const imagePullPolicy = env.ENXAME_IMAGE_PULL_POLICY || 'IfNotPresent';
  const imagePullSecrets = list(env, 'ENXAME_IMAGE_PULL_SECRETS');
  const logLevel = env[LOG_LEVEL_VARIABLE] || 'info';
  return {
    namespace,
    podName: required(env, 'POD_NAME'),
    deployment: env.ENXAME_DEPLOYMENT || undefined,
    contentRoot: env.ENXAME_CONTENT_ROOT || '/var/lib/enxame',
    port: wholeNumber(env, 'ENXAME_PORT', Port.Operator, 0, 65_535),
    publisher: {
      image,
      imagePullPolicy,
      imagePullSecrets,
      logLevel,
      resources: resources(env, 'ENXAME_PUBLISHER_RESOURCES', DEFAULT_PUBLISHER_RESOURCES),
      deadlineSeconds: wholeNumber(env, 'ENXAME_PUBLISHER_DEADLINE_SECONDS', 86_400, 60, 2_592_000),
      stallSeconds: wholeNumber(env, 'ENXAME_SOURCE_STALL_SECONDS', 30, 1, 3_600),
      deniedCidrs: list(env, 'ENXAME_PUBLISHER_DENIED_CIDRS'),
      allowedCidrs: list(env, 'ENXAME_PUBLISHER_ALLOWED_CIDRS'),
      environment: textMap(env, 'ENXAME_PUBLISHER_ENVIRONMENT'),
      authorities: authorities(env),
    },
    tracker: {
      replicas: wholeNumber(env, 'ENXAME_TRACKER_REPLICAS', 2, 1, 16),
      namespace,
      instance: env.ENXAME_INSTANCE || 'enxame',
      serviceAccount: env.ENXAME_TRACKER_SERVICE_ACCOUNT || 'enxame-tracker',
      replicaSecret: env.ENXAME_TRACKER_REPLICA_SECRET || 'enxame-tracker-replicas',
      image,
      imagePullPolicy,
      imagePullSecrets,
      logLevel,
      resources: resources(env, 'ENXAME_TRACKER_RESOURCES', DEFAULT_TRACKER_RESOURCES),
      zoneSharePercent: wholeNumber(env, 'ENXAME_TRACKER_ZONE_SHARE_PERCENT', 66, 0, 66),
      scheduling: jsonObject(env, 'ENXAME_TRACKER_SCHEDULING') as TrackerScheduling,
    },
  };
}
