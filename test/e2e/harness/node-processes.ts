/** What only a cluster of our own allows: ending one program of a node, and looking past the API server. */
import { readFile } from 'node:fs/promises';
import { processesOf } from '../../cluster/cgroups.ts';
import type { Cluster } from '../../cluster/cluster.ts';

/** Kills, by SIGKILL, the programs of a node whose command line holds a text. @throws if there is none */
export async function killProgram(cluster: Cluster, node: string, text: string): Promise<void> {
  const { cgroup } = cluster.layout.node(Number(node.replace('node-', '')));
  let killed = 0;
  for (const pid of await processesOf(cgroup)) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!commandLine.replaceAll('\0', ' ').includes(text)) continue;
    process.kill(pid, 'SIGKILL');
    killed += 1;
  }
  if (killed === 0) throw new Error(`no program on ${node} is called '${text}'`);
}

/** Bytes on a node's disk of content that it does not hold yet. */
export async function stagedBytes(cluster: Cluster, node: string, uid: string): Promise<number> {
  const folder = `/var/lib/enxame/staging/download/${uid}`;
  const { stdout } = await cluster.nodeExec(node, ['du', '--summarize', '--block-size=1', folder]);
  return Number(stdout.split('\t')[0]);
}
