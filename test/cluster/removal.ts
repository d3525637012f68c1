/**
 * The end of a cluster, whatever state it is in: found by name in the kernel's own lists, so that what an
 * interrupted run made and did not write down goes too. Nothing else is touched.
 */
import { rm } from 'node:fs/promises';
import { cgroupsOf, processesOf, removeCgroup } from './cgroups.ts';
import type { ClusterLayout } from './layout.ts';
import { namespacesOf, processesIn, removeNamespace } from './network.ts';
import { killAll, type Processes, processesMentioning } from './processes.ts';

/** Kills every process of a cluster, and removes its cgroups, network and files. */
export async function removeCluster(layout: ClusterLayout, processes: Processes): Promise<void> {
  const namespaces = await namespacesOf(layout.prefix);
  const cgroups = await cgroupsOf(layout.prefix);
  const pids = async () => {
    const recorded = await Promise.all((await processes.names()).map((name) => processes.pid(name)));
    const inCgroups = await Promise.all(cgroups.map(processesOf));
    // The forwarder outside is in no namespace and no cgroup of the cluster: its arguments tell it.
    const forwarders = await processesMentioning('/forwarder.ts', layout.apiSocket);
    const inNamespaces = await processesIn(namespaces);
    const all = [...recorded.filter((pid) => pid !== undefined), ...inCgroups.flat()];
    return [...new Set([...all, ...inNamespaces, ...forwarders])].filter((pid) => pid !== process.pid);
  };
  await killAll(pids);
  await Promise.all([...cgroups.map(removeCgroup), ...namespaces.map(removeNamespace)]);
  await rm(layout.folder, { recursive: true, force: true });
}
