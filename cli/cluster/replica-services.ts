/**
 * The other trackers of a cluster, by their Services: the same that agents rank, so that trackers and agents agree
 * on who owns a torrent. While the API server is away they stay as they were last seen.
 */
import type { V1Service } from '@kubernetes/client-node';
import { APP_NAME, Component, Label, Port } from '../../api/index.ts';
import { createClient, Informer, loadKubeConfig, SERVICES } from '../../kube/index.ts';
import type { ReplicaSettings } from '../../tracker/replicas.ts';
import { UsageError } from '../errors.ts';
import type { ProgramContext } from '../run.ts';
import { VERSION } from '../version.ts';

/** Base URLs by name of the replicas that have these Services. */
export function replicaUrls(services: readonly V1Service[]): Map<string, string> {
  return new Map(
    services.flatMap(({ metadata }) => {
      const { name, namespace } = metadata ?? {};
      if (name === undefined || namespace === undefined) return [];
      return [[name, `http://${name}.${namespace}.svc:${Port.Tracker}`]];
    }),
  );
}

/**
 * Follows the Services of trackers in the namespace of ENXAME_NAMESPACE.
 *
 * @throws UsageError where that is not set
 */
export function followReplicaServices({ logger }: ProgramContext): NonNullable<ReplicaSettings['follow']> {
  const namespace = process.env.ENXAME_NAMESPACE;
  if (!namespace)
    throw new UsageError('--replica-services needs ENXAME_NAMESPACE, the namespace of the Services');
  return (listener) => {
    const client = createClient(loadKubeConfig({}), { userAgent: `enxame-tracker/${VERSION}`, logger });
    const informer = new Informer<V1Service>({
      resource: client.resource<V1Service>(SERVICES),
      namespace,
      labelSelector: `${Label.Name}=${APP_NAME},${Label.Component}=${Component.Tracker}`,
      logger,
    });
    let known = '';
    const changed = () => {
      // Nothing is said of a first list of which not all is seen: torrents would change owners with each entry.
      if (!informer.hasSynced) return;
      const urls = replicaUrls(informer.list());
      const names = [...urls.keys()].sort().join();
      if (names === known) return;
      known = names;
      logger.info({ replicas: [...urls.keys()].sort() }, 'the replicas are');
      listener(urls);
    };
    informer.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
    informer.start();
    informer.synced().then(changed, () => undefined);
    return () => informer.stop();
  };
}
