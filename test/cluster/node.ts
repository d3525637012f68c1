/**
 * A node: containerd, kubelet and kube-proxy in network, mount and host-name namespaces of their own. /var/lib,
 * /var/log and /run are its own, so a host path on one node is not the host path on another; the rest of the
 * file system is the machine's.
 *
 * A holder process keeps the mount namespace; the others join it, and so does whoever looks at the node's files.
 * When everything below the node's cgroup is killed, that is a crash: /run and all mounts are gone, /var/lib stays.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { daemonsFile, makeCgroup, processesOf } from './cgroups.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { ClusterError } from './errors.ts';
import { ADDRESSES, type ClusterLayout, type NodeLayout } from './layout.ts';
import { nodeConfiguration, registriesFolder } from './node-configuration.ts';
import type { Pki } from './pki.ts';
import { killAll, type Processes } from './processes.ts';
import { until } from './until.ts';

/** What every node of a cluster is started from. */
export interface NodeParts {
  readonly layout: ClusterLayout;
  readonly processes: Processes;
  /** Folder of the programs. */
  readonly binaries: string;
  readonly pki: Pki;
  /** Archive of the pause image. */
  readonly pauseImage: string;
}

/** Made by the holder once the node's file system is as it shall be. */
const HOLDER_READY = '/run/enxame-node-is-up';
const START_TIMEOUT_MILLISECONDS = 30_000;
const POLL_MILLISECONDS = 50;
/** The source of a small disk, as the table of mounts names it. */
const SMALL_DISK = 'enxame-disk';
/** All that runs on a node while it is up. */
const PROGRAMS = ['holder', 'containerd', 'kube-proxy', 'kubelet'] as const;

/**
 * Makes the node's view of the file system and waits for its end. Folders below /var/lib that the node's
 * programs need stay visible to it, under the same path.
 * Arguments: cgroup.procs, host name, the node's folder, the program to become, visible folders …
 */
const HOLDER = `set -eu
echo $$ > "$1"
hostname "$2"
node=$3 program=$4
shift 4
for folder; do
  mkdir -p "$node/var-lib$folder"
  mount --bind "$folder" "$node/var-lib$folder"
done
mount --rbind "$node/var-lib/var/lib" /var/lib
mount --bind "$node/log" /var/log
mount -t tmpfs tmpfs /run
mount --make-rshared /
touch ${HOLDER_READY}
exec "$program"
`;

/** Puts itself into the node's cgroup and becomes the program. Arguments: cgroup.procs, program … */
const JOIN = 'echo $$ > "$1"; shift; exec "$@"';

export class ClusterNode {
  readonly layout: NodeLayout;
  readonly #parts: NodeParts;

  constructor(layout: NodeLayout, parts: NodeParts) {
    this.layout = layout;
    this.#parts = parts;
  }

  #program(name: string): string {
    return `${this.layout.name}-${name}`;
  }

  #logFile(name: string): string {
    return this.#parts.layout.log(this.#program(name));
  }

  /** Where the node's own /var/lib lies on the machine. */
  get #libFolder(): string {
    return join(this.layout.folder, 'var-lib/var/lib');
  }

  async #configure(): Promise<void> {
    const { folder } = this.layout;
    const { pki } = this.#parts;
    await mkdir(join(this.#libFolder, 'cni/net.d'), { recursive: true });
    await mkdir(join(folder, 'log'), { recursive: true });
    const files: [string, string][] = [
      ['containerd.toml', nodeConfiguration.containerd(this.layout)],
      ['kubelet.yaml', stringify(nodeConfiguration.kubelet(this.layout, pki))],
      ['proxy.yaml', stringify(nodeConfiguration.proxy(this.layout, pki))],
      ['resolv.conf', `nameserver ${ADDRESSES.controlPlane}\n`],
    ];
    for (const [name, text] of files) await writeFile(join(folder, name), text);
    const network = JSON.stringify(nodeConfiguration.network(this.layout));
    await writeFile(join(this.#libFolder, 'cni/net.d/10-bridge.conflist'), network);
  }

  /** Has images of a registry pulled from a URL, from the next pull on. */
  async pullFrom(registry: string, url: string): Promise<void> {
    const folder = join(registriesFolder(this.layout.folder), registry);
    await mkdir(folder, { recursive: true });
    const host = `server = "${url}"\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
    await writeFile(join(folder, 'hosts.toml'), host);
  }

  /** Starts what runs containers; it needs no API server. What is left of an earlier run is killed first. */
  async startRuntime(): Promise<void> {
    const { processes, layout, binaries, pauseImage } = this.#parts;
    const { name, folder, namespace, cgroup } = this.layout;
    await this.crash();
    await this.#configure();
    await makeCgroup(cgroup);
    const visible = [layout.folder, binaries].filter((path) => path.startsWith('/var/lib/'));
    await processes.start({
      name: this.#program('holder'),
      logFile: this.#logFile('holder'),
      command: [
        ...(['nsenter', `--net=/run/netns/${namespace}`] as const),
        ...['unshare', '--mount', '--uts', '--propagation', 'private', 'bash', '-c', HOLDER, 'holder'],
        ...[daemonsFile(cgroup), name, folder, join(binaries, 'pause'), ...visible],
      ],
    });
    await this.#until('holder', 'its file system', async () => {
      const pid = await processes.pid(this.#program('holder'));
      return pid !== undefined && existsSync(`/proc/${pid}/root${HOLDER_READY}`);
    });
    await this.#daemon('containerd', ['--config', join(folder, 'containerd.toml')]);
    await this.#until('containerd', 'containerd', async () => (await this.exec(['ctr', 'version'])) !== null);
    await this.load(pauseImage);
  }

  /** Starts what makes it a node of the cluster. That the node is Ready is for the API server to say. */
  async startKubelet(): Promise<void> {
    const { name, folder, address } = this.layout;
    await this.#daemon('kubelet', [
      `--config=${join(folder, 'kubelet.yaml')}`,
      `--kubeconfig=${this.#parts.pki.nodes.get(name)!.kubeconfig}`,
      `--hostname-override=${name}`,
      `--node-ip=${address}`,
      '--root-dir=/var/lib/kubelet',
    ]);
    await this.#daemon('kube-proxy', [`--config=${join(folder, 'proxy.yaml')}`]);
  }

  async #daemon(program: string, args: readonly string[]): Promise<void> {
    const { processes, binaries } = this.#parts;
    const joining = ['bash', '-c', JOIN, 'join', daemonsFile(this.layout.cgroup)];
    await processes.start({
      name: this.#program(program),
      logFile: this.#logFile(program),
      path: [binaries],
      command: [...(await this.#enter()), ...joining, join(binaries, program), ...args],
    });
  }

  get #environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${this.#parts.binaries}:${process.env.PATH ?? ''}` };
  }

  /** The start of a command line that runs a program on the node. */
  async #enter(): Promise<[string, ...string[]]> {
    const pid = await this.#parts.processes.pid(this.#program('holder'));
    if (pid === undefined)
      throw new ClusterError('NotReady', `${this.layout.name} does not run; fault revive starts it again`);
    return ['nsenter', '--target', String(pid), '--net', '--mount', '--uts', '--'];
  }

  /** Runs a program with the node's files and network, to its end. @throws {ClusterError} CommandFailed */
  async exec(command: readonly string[], input?: string): Promise<CommandOutput> {
    const [program, ...args] = [...(await this.#enter()), ...command];
    const options = { env: this.#environment, ...(input === undefined ? {} : { input }) };
    return runCommand(program!, args, options);
  }

  /** Puts the image of an archive into the node's containerd. */
  async load(archive: string): Promise<void> {
    const [program, ...args] = await this.#enter();
    // By standard input: the archive may lie where the node does not see it.
    const file = await open(archive);
    try {
      const child = spawn(program, [...args, 'ctr', '--namespace', 'k8s.io', 'images', 'import', '-'], {
        stdio: [file.fd, 'ignore', 'pipe'],
        env: this.#environment,
      });
      let errors = '';
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        errors += text;
      });
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      });
      const problem = `${this.layout.name} does not take ${archive}: ${errors.trim()}`;
      if (code !== 0) throw new ClusterError('CommandFailed', problem);
    } finally {
      await file.close();
    }
  }

  /** Whether all its programs run. */
  async isRunning(): Promise<boolean> {
    const pids = PROGRAMS.map((program) => this.#parts.processes.pid(this.#program(program)));
    return (await Promise.all(pids)).every((pid) => pid !== undefined);
  }

  /** Kills everything on the node at once, Pods included, as a power cut does. */
  async crash(): Promise<void> {
    await killAll(() => processesOf(this.layout.cgroup));
  }

  /**
   * Puts an empty disk of a size at a path of the node, in place of one put there before. It is in memory: a
   * crash of the node takes it away.
   *
   * @param size in bytes, or as mount takes it: `64m`
   */
  async mountSmallDisk(path: string, size: number | string): Promise<void> {
    await this.unmountSmallDisk(path);
    await this.exec(['mkdir', '-p', path]);
    await this.exec(['mount', '-t', 'tmpfs', '-o', `size=${size}`, SMALL_DISK, path]);
  }

  /** Takes it away again; what uses it goes on until it ends. */
  async unmountSmallDisk(path: string): Promise<void> {
    const pid = await this.#parts.processes.pid(this.#program('holder'));
    const mounts = pid === undefined ? '' : await readFile(`/proc/${pid}/mounts`, 'utf8');
    if (mounts.split('\n').some((line) => line.startsWith(`${SMALL_DISK} ${path} `)))
      await this.exec(['umount', '--lazy', path]);
  }

  /** @throws {ClusterError} NotReady, with the end of its log, if a program of the node has ended */
  async mustRun(): Promise<void> {
    for (const program of PROGRAMS)
      await this.#parts.processes.mustRun(this.#program(program), this.#logFile(program));
  }

  async #until(program: string, what: string, isSo: () => Promise<boolean>): Promise<void> {
    const place = `${what} of ${this.layout.name}; see ${this.#logFile(program)}`;
    await until(place, isSo, { timeout: START_TIMEOUT_MILLISECONDS, poll: POLL_MILLISECONDS });
  }
}
