/** Whether what is on the nodes is what the source serves, and how often it was read for that. */
import type { Cluster } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/errors.ts';
import type { DemoFile } from './content.ts';
import { green, megabytes, red, say } from './terminal.ts';

/** The source may be read this often, no more: what was cut off in the middle is read again from there. */
export const MAX_READS = 1.01;

/** What a file is on a node. */
type Finding = 'equal' | 'DIFFERS' | 'MISSING';

/** SHA-256 by path of files below a folder of a node; without those that cannot be read. */
async function hashesOn(
  cluster: Cluster,
  node: string,
  folder: string,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const command = ['sha256sum', '--', ...paths.map((path) => `${folder}/${path}`)];
  const { stdout } = await cluster.nodeExec(node, command).catch((error: unknown) => {
    // It goes on with the next file, and says in the end that not all could be read.
    if (error instanceof ClusterError && error.code === 'CommandFailed') return error;
    throw error;
  });
  const hashes = new Map<string, string>();
  for (const [, sha256 = '', path = ''] of stdout.matchAll(/^([0-9a-f]{64}) [ *](.*)$/gm))
    hashes.set(path.slice(folder.length + 1), sha256);
  return hashes;
}

/**
 * Compares every file of a distribution on every node with the source's, and prints a table of it.
 *
 * @param distribution NAMESPACE/NAME
 * @returns a sentence for each file that is not what it should be
 */
export async function compare(
  cluster: Cluster,
  distribution: string,
  files: readonly DemoFile[],
): Promise<string[]> {
  const nodes = await cluster.nodeNames();
  const folder = `/var/lib/enxame/by-name/${distribution}/current`;
  const paths = files.map(({ path }) => path);
  const found = await Promise.all(nodes.map((node) => hashesOn(cluster, node, folder, paths)));
  const wrong: string[] = [];
  const wide = Math.max(...paths.map(({ length }) => length));
  const columns = nodes.map((node) => node.padEnd('DIFFERS'.length));
  say(`  ${'file'.padEnd(wide)}    size  ${'SHA-256 at the source'.padEnd(64)}  ${columns.join('  ')}`);
  for (const { path, sizeBytes, sha256 } of files) {
    const marks = nodes.map((node, index) => {
      const there = found[index]?.get(path);
      const finding: Finding = there === undefined ? 'MISSING' : there === sha256 ? 'equal' : 'DIFFERS';
      if (finding === 'MISSING') wrong.push(`${path} cannot be read on ${node}`);
      if (finding === 'DIFFERS') wrong.push(`${path} on ${node} has SHA-256 ${there}`);
      return (finding === 'equal' ? green : red)(finding.padEnd(columns[index]!.length));
    });
    say(`  ${path.padEnd(wide)}  ${megabytes(sizeBytes).padStart(6)}  ${sha256}  ${marks.join('  ')}`);
  }
  return wrong;
}

/** @returns what is wrong with reading the source so often, if anything is */
export function wrongReads(reads: number): string | undefined {
  if (reads > MAX_READS) return `the source was read ${reads.toFixed(3)} times, more than ${MAX_READS}`;
  // Less than all of it cannot have reached the nodes.
  if (reads < 1) return `the source counted ${reads.toFixed(3)} reads: it was started anew meanwhile`;
  return undefined;
}
