/**
 * The cluster that the end-to-end tests run on: one of their own, made, furnished and removed here, or one that
 * the caller names by a kubeconfig. What the tests need to know of it reaches them by environment variables.
 */
import { buildImage } from '../../image/build.ts';
import { Cluster } from '../cluster/cluster.ts';
import { applyBallast } from './harness/ballast.ts';
import { CHART, installChart } from './harness/chart.ts';

/** A cluster that is ready for tests. */
export interface ProvidedCluster {
  /** To be added to the environment of the tests. */
  readonly environment: Record<string, string>;
  /** Removes what was made here. */
  release(): Promise<void>;
}

const NAME = 'enxame-e2e';
const NODES = 3;

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * Makes a cluster, or takes the one of a kubeconfig. There, Enxame must be installed as the tests would do it:
 * release `enxame` in namespace `enxame-system`. Faults of nodes and network need a cluster of our own; on
 * another one their tests count as skipped.
 *
 * `ENXAME_E2E_KEEP=1` leaves the cluster of our own up, to look at what went wrong; it is then used again.
 */
export async function provideCluster(kubeconfig: string | undefined): Promise<ProvidedCluster> {
  if (kubeconfig !== undefined)
    return { environment: { ENXAME_E2E_KUBECONFIG: kubeconfig }, release: async () => {} };
  const cluster = new Cluster(process.env.ENXAME_E2E_CLUSTER ?? NAME, say);
  const release = async () => {
    if (process.env.ENXAME_E2E_KEEP === '1') say(`Cluster kept: export KUBECONFIG=${cluster.kubeconfigPath}`);
    else await cluster.down();
  };
  try {
    const [image] = await Promise.all([buildImage(), cluster.up({ nodes: NODES })]);
    await cluster.load(image.archive);
    await installChart(cluster, CHART);
    await applyBallast({ kubectl: cluster.kubectl.bind(cluster) });
    return {
      environment: {
        ENXAME_E2E_KUBECONFIG: cluster.kubeconfigPath,
        ENXAME_E2E_CLUSTER: cluster.layout.name,
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}
