// `enxame agent`: the node daemon.
//
// What it needs in the cluster, and no more (charts/enxame/templates/rbac-agent.yaml):
//   cluster-wide  enxame.dev              contentrevisions            list, watch
//                 enxame.dev              nodecontents                get, list, watch, create   (its own, by fieldSelector)
//                 enxame.dev              nodecontents/status         patch
//                 ""                      nodes                       get, list, watch           (its own, by fieldSelector)
//                 ""                      pods                        list, watch                (of its node, by fieldSelector)
//                 ""                      persistentvolumes           list, watch                (ours, by labelSelector)
//                 apiextensions.k8s.io    customresourcedefinitions   get                        (contentrevisions.enxame.dev)
//                 authentication.k8s.io   tokenreviews                create
//   own namespace ""                      services                    list, watch                (trackers, by labelSelector)
import type { Logger } from '../base/index.ts';
import { createClient, loadKubeConfig } from '../kube/index.ts';
import { boundYoungGeneration, budgetWithin, processMemory } from '../torrent/index.ts';
import { startAgent } from './agent.ts';
import { KubeCluster } from './kube-cluster.ts';
import { readSettings } from './settings.ts';

/** Replaced when the bundle is made; absent where the sources run as they are. */
declare const ENXAME_VERSION: string | undefined;

const VERSION = typeof ENXAME_VERSION === 'string' ? ENXAME_VERSION : 'development';

/** What the program takes from outside. */
export interface RunOptions {
  /** Aborts when the agent shall end. */
  signal: AbortSignal;
  logger: Logger;
}

/**
 * Runs the agent until the signal aborts. Returns the exit code.
 * @throws AgentError InvalidSetting, RootInUse, UnknownFormat
 */
export async function runAgent(env: NodeJS.ProcessEnv, { signal, logger }: RunOptions): Promise<number> {
  const settings = readSettings(env, VERSION);
  // What the container may have, by its cgroup.
  processMemory.setBudget(budgetWithin(process.constrainedMemory()));
  boundYoungGeneration();
  const config = loadKubeConfig(env.KUBECONFIG ? { kubeconfig: env.KUBECONFIG } : {});
  const client = createClient(config, { userAgent: `enxame-agent/${VERSION}`, logger });
  const cluster = new KubeCluster(client, settings, logger);
  const agent = await startAgent(settings, cluster, { logger, signal });
  try {
    cluster.start({
      changed: () => agent.clusterChanged(),
      revisionGone: (object, byList) => agent.revisionGone(object, byList),
      nodeContentReplaced: () => agent.nodeContentReplaced(),
    });
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    logger.info({}, 'leaving the swarms');
  } finally {
    cluster.stop();
    await agent.close();
  }
  return 0;
}
