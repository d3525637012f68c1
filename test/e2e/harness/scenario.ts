/**
 * A scenario is a test with a namespace of its own, under Pod Security "restricted", that is removed afterwards.
 * When it fails, it prints what a person would look at first.
 */
import { randomBytes } from 'node:crypto';
import { test } from '@jest/globals';
import { PATIENCE } from '../../patience.ts';
import { diagnose } from './diagnosis.ts';
import { Distribution } from './distribution.ts';
import { apply, kubectl, ownCluster } from './environment.ts';
import { Source } from './source.ts';

/** What a scenario works with. */
export interface World {
  readonly namespace: string;
  /** Starts a source in the namespace. */
  startSource(): Promise<Source>;
  distribution(name: string): Distribution;
  /** Runs when the scenario ends, however it ends; the last one given runs first. */
  finally(cleanUp: () => Promise<void>): void;
}

const DEFAULT_TIMEOUT_SECONDS = 180;

async function makeNamespace(labels: Record<string, string> = {}): Promise<string> {
  const name = `e2e-${randomBytes(4).toString('hex')}`;
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { ...restricted, ...labels } },
  });
  // Its controller makes the account a moment later; no Pod is let in before.
  await kubectl([
    '-n',
    name,
    'wait',
    '--for=create',
    'serviceaccount/default',
    `--timeout=${PATIENCE * 60}s`,
  ]);
  return name;
}

async function run(body: (world: World) => Promise<void>): Promise<void> {
  const namespace = await makeNamespace();
  const cleanUps: (() => Promise<void>)[] = [];
  const started = new Date();
  try {
    await body({
      namespace,
      startSource: () => Source.start(namespace),
      distribution: (name) => new Distribution(namespace, name),
      finally: (cleanUp) => cleanUps.unshift(cleanUp),
    });
  } catch (error) {
    process.stderr.write(await diagnose(namespace, started));
    throw error;
  } finally {
    for (const cleanUp of cleanUps) await cleanUp();
    await kubectl([
      '-n',
      namespace,
      'delete',
      'contentdistributions',
      '--all',
      `--timeout=${PATIENCE * 60}s`,
    ]);
    await kubectl(['delete', 'namespace', namespace, '--wait=false']);
  }
}

interface ScenarioOptions {
  readonly timeoutSeconds?: number;
}

/** A test on any cluster. */
export function scenario(
  name: string,
  body: (world: World) => Promise<void>,
  { timeoutSeconds = DEFAULT_TIMEOUT_SECONDS }: ScenarioOptions = {},
): void {
  test(name, () => run(body), PATIENCE * timeoutSeconds * 1000);
}

/** A test that breaks nodes, network or control plane, and so runs on a cluster of our own only. */
export function faultScenario(
  name: string,
  body: (world: World, cluster: NonNullable<typeof ownCluster>) => Promise<void>,
  { timeoutSeconds = DEFAULT_TIMEOUT_SECONDS }: ScenarioOptions = {},
): void {
  if (ownCluster === undefined) test.skip(`${name} (needs a cluster of our own)`, () => {});
  else test(name, () => run((world) => body(world, ownCluster!)), PATIENCE * timeoutSeconds * 1000);
}
