/**
 * The cgroup of a node, in every hierarchy of version 1 or in the one of version 2. The kubelet puts Pods below
 * it; the node's own programs are in its child `daemons`, so that all processes of a node are found below it,
 * whatever they did to their parents and sessions.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.ts';

const ROOT = '/sys/fs/cgroup';
/** Hierarchies of version 1 that the kubelet asks for. */
const CONTROLLERS = 'cpu cpuacct cpuset memory devices freezer blkio pids hugetlb systemd'.split(' ');
/** The child that the node's own programs are in. */
const DAEMONS = 'daemons';
const REMOVE_TIMEOUT_MILLISECONDS = 10_000;
/** The hierarchy of version 1 in which processes are looked for. */
const PROCESSES = 'pids';

/** What the kubelet asks of version 2, in the cgroup that it puts Pods below. */
const UNIFIED_CONTROLLERS = 'cpuset cpu io memory hugetlb pids'.split(' ');

const isVersion2 = () => existsSync(join(ROOT, 'cgroup.controllers'));

/** Where cgroups of a name lie. */
function folders(name: string): string[] {
  if (isVersion2()) return [join(ROOT, name)];
  return CONTROLLERS.filter((controller) => existsSync(join(ROOT, controller))).map((controller) =>
    join(ROOT, controller, name),
  );
}

const processFolder = (name: string) => (isVersion2() ? join(ROOT, name) : join(ROOT, PROCESSES, name));

/** Passes controllers on to the children of a cgroup of version 2, as far as it has them and may. */
async function passOn(folder: string): Promise<void> {
  const available = (await readFile(join(folder, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const control = join(folder, 'cgroup.subtree_control');
  const passed = (await readFile(control, 'utf8')).trim().split(' ');
  for (const controller of UNIFIED_CONTROLLERS)
    if (available.includes(controller) && !passed.includes(controller))
      await writeFile(control, `+${controller}`).catch((error: NodeJS.ErrnoException) => {
        // The root of a container's view may hold processes; the kubelet then says what it misses.
        if (error.code !== 'EBUSY' && error.code !== 'ENOTSUP') throw error;
      });
}

/** Makes the cgroup of a node. */
export async function makeCgroup(name: string): Promise<void> {
  for (const folder of folders(name)) await mkdir(folder, { recursive: true });
  if (isVersion2()) {
    // The kubelet does the same to the root when it makes its own cgroups.
    await passOn(ROOT);
    await passOn(join(ROOT, name));
  }
  await mkdir(join(processFolder(name), DAEMONS), { recursive: true });
  if (isVersion2()) return;
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

/** Folders that hold cgroups at their top: one of version 2, or every hierarchy of version 1. */
async function hierarchies(): Promise<string[]> {
  if (isVersion2()) return [ROOT];
  const entries = await readdir(ROOT, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(ROOT, entry.name));
}

/** Names of cgroups that begin so, in any hierarchy. */
export async function cgroupsOf(prefix: string): Promise<string[]> {
  const names = await Promise.all((await hierarchies()).map((folder) => readdir(folder).catch(() => [])));
  return [...new Set(names.flat())].filter((name) => name.startsWith(prefix));
}

/**
 * Removes the cgroup of a node without processes, from every hierarchy: containers are also in those that the
 * kubelet does not ask for.
 *
 * @throws {ClusterError} NotReady if something is still in it
 */
export async function removeCgroup(name: string): Promise<void> {
  await until(`the removal of cgroup ${name}`, () => removed(name), {
    timeout: REMOVE_TIMEOUT_MILLISECONDS,
    poll: 50,
  });
}

/** Tries it once: a cgroup is busy for a moment after its last process has ended. */
async function removed(name: string): Promise<boolean> {
  let isGone = true;
  for (const hierarchy of await hierarchies()) {
    if (!existsSync(join(hierarchy, name))) continue;
    for (const folder of await below(join(hierarchy, name)))
      await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EBUSY' && error.code !== 'ENOENT') throw error;
        if (error.code === 'EBUSY') isGone = false;
      });
  }
  return isGone;
}
