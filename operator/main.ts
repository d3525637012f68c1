// `enxame operator`: reads its settings, watches, and leads when it is elected.
import { hostname } from 'node:os';
import type { V1Deployment } from '@kubernetes/client-node';
import { type Logger, systemClock } from '../base/index.ts';
import { createClient, DEPLOYMENTS, EventRecorder, LeaderElector, loadKubeConfig } from '../kube/index.ts';
import { type Environment, readConfig } from './config.ts';
import { startHealthServer } from './health-server.ts';
import { OperatorMetrics } from './metrics.ts';
import { Operator } from './operator.ts';
import { ownerOf } from './trackers/owner.ts';

/** Name of the Lease that the replicas compete for. */
const LEASE_NAME = 'enxame-operator';
const COMPONENT = 'enxame-operator';

/** What the program takes from outside. */
export interface RunOptions {
  /** Aborts when the operator shall end. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * Runs the operator until the signal aborts. A replica that loses its lease ends, and is started again by its
 * Deployment, so that nothing of an earlier leadership can write later.
 *
 * @returns the exit code: 0 after a graceful end, 1 when the lease was lost
 * @throws OperatorError InvalidConfiguration for an environment that cannot be used
 */
export async function runOperator(env: Environment, { signal, logger }: RunOptions): Promise<number> {
  const config = readConfig(env);
  const client = createClient(loadKubeConfig({ kubeconfig: env.KUBECONFIG }), {
    userAgent: COMPONENT,
    logger,
  });
  const metrics = new OperatorMetrics();
  const events = new EventRecorder({ client, component: COMPONENT, instance: config.podName, logger });
  const operator = new Operator({ client, config, logger, clock: systemClock, metrics, events, fetch });
  const server = await startHealthServer(config.port, () => operator.isReady, metrics);
  logger.info({ port: server.port, namespace: config.namespace }, 'the operator has started');
  const stopped = new AbortController();
  let lostLease = false;
  try {
    operator.start();
    const elector = new LeaderElector({
      client,
      namespace: config.namespace,
      name: LEASE_NAME,
      identity: `${config.podName}_${hostname()}`,
      logger,
      owner: () => ownerOf(client.resource<V1Deployment>(DEPLOYMENTS), config),
    });
    await elector.run(
      {
        onStartedLeading: (leading) => operator.lead(AbortSignal.any([leading, stopped.signal])),
        onStoppedLeading: () => {
          lostLease = !signal.aborted;
          stopped.abort();
        },
      },
      AbortSignal.any([signal, stopped.signal]),
    );
  } finally {
    operator.stop();
    await server.close();
  }
  if (lostLease) logger.error({}, 'the lease was lost; ending, to start anew');
  return lostLease ? 1 : 0;
}
