/**
 * The cgroup of a node, in every hierarchy of version 1 or in the one of version 2. The kubelet puts Pods below
 * it; the node's own programs are in its child `daemons`, so that all processes of a node are found below it,
 * whatever they did to their parents and sessions.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** Hierarchies of version 1 that the kubelet asks for. */
const CONTROLLERS = 'cpu cpuacct cpuset memory devices freezer blkio pids hugetlb systemd'.split(' ');
/** The child that the node's own programs are in. */
const DAEMONS = 'daemons';
/** The hierarchy of version 1 in which processes are looked for. */
const PROCESSES = 'pids';

const isVersion2 = () => existsSync(join(ROOT, 'cgroup.controllers'));

/** Where cgroups of a name lie. */
function folders(name: string): string[] {
  if (isVersion2()) return [join(ROOT, name)];
  return CONTROLLERS.filter((controller) => existsSync(join(ROOT, controller))).map((controller) =>
    join(ROOT, controller, name),
  );
}

const processFolder = (name: string) => (isVersion2() ? join(ROOT, name) : join(ROOT, PROCESSES, name));

/** Makes the cgroup of a node. */
export async function makeCgroup(name: string): Promise<void> {
  for (const folder of folders(name)) await mkdir(folder, { recursive: true });
  await mkdir(join(processFolder(name), DAEMONS), { recursive: true });
  if (isVersion2()) {
    const available = (await readFile(join(ROOT, name, 'cgroup.controllers'), 'utf8')).trim().split(' ');
    const wanted = available.filter((controller) => controller !== '').map((controller) => `+${controller}`);
    await writeFile(join(ROOT, name, 'cgroup.subtree_control'), wanted.join(' '));
    return;
  }
  // A cpuset of version 1 is empty, and takes no process, until it is told its processors and memory.
  const cpuset = join(ROOT, 'cpuset');
  if (!existsSync(cpuset)) return;
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    await writeFile(join(cpuset, name, file), await readFile(join(cpuset, file), 'utf8'));
}

/** The file by which a process puts itself among the node's own programs. */
export function daemonsFile(name: string): string {
  return join(processFolder(name), DAEMONS, 'cgroup.procs');
}

async function below(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const children = entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  const deeper = await Promise.all(children.map(below));
  return [...deeper.flat(), folder];
}

/** All processes of a node. */
export async function processesOf(name: string): Promise<number[]> {
  const pids = new Set<number>();
  for (const folder of await below(processFolder(name))) {
    const text = await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '');
    for (const line of text.split('\n')) if (line !== '') pids.add(Number(line));
  }
  return [...pids];
}

/** Names of cgroups that begin so. */
export async function cgroupsOf(prefix: string): Promise<string[]> {
  const names = await readdir(isVersion2() ? ROOT : join(ROOT, PROCESSES)).catch(() => []);
  return names.filter((name) => name.startsWith(prefix));
}

/** Removes the cgroup of a node without processes. */
export async function removeCgroup(name: string): Promise<void> {
  for (const folder of folders(name))
    for (const child of await below(folder))
      await rmdir(child).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
}
