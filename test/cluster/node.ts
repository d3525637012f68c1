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
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { daemonsFile, makeCgroup, processesOf } from './cgroups.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { ClusterError } from './errors.ts';
import { ADDRESSES, type ClusterLayout, type NodeLayout } from './layout.ts';
import { PAUSE_IMAGE } from './pause-image.ts';
import type { Pki } from './pki.ts';
import { killAll, type Processes } from './processes.ts';

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

/** Where Debian's package puts the CNI plugins. */
const CNI_PLUGINS = '/usr/lib/cni';
/** Made by the holder once the node's file system is as it shall be. */
const HOLDER_READY = '/run/enxame-node-is-up';
const START_TIMEOUT_MILLISECONDS = 30_000;

/**
 * Makes the node's view of the file system and waits for its end.
 * Arguments: cgroup.procs, host name, the node's folder, the cluster's folder, the program to become.
 */
const HOLDER = `set -eu
echo $$ > "$1"
hostname "$2"
mkdir -p "$3/var-lib$4"
mount --bind "$4" "$3/var-lib$4"
mount --rbind "$3/var-lib/var/lib" /var/lib
mount --bind "$3/log" /var/log
mount -t tmpfs tmpfs /run
mount --make-rshared /
touch ${HOLDER_READY}
exec "$5"
`;

/** Puts itself into the node's cgroup and becomes the program. Arguments: cgroup.procs, program … */
const JOIN = 'echo $$ > "$1"; shift; exec "$@"';

const nodeConfiguration = {
  containerd: () => `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${CNI_PLUGINS}"]
    conf_dir = "/var/lib/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
`,

  network: ({ podRange }: NodeLayout) => ({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }),

  kubelet: (node: NodeLayout, pki: Pki) => ({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      x509: { clientCAFile: pki.authority.certificate },
      anonymous: { enabled: false },
      webhook: { enabled: true },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pki.nodes.get(node.name)!.certificate,
    tlsPrivateKeyFile: pki.nodes.get(node.name)!.key,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.cgroup}`,
    failSwapOn: false,
    failCgroupV1: false,
    clusterDNS: [ADDRESSES.controlPlane],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    imageGCHighThresholdPercent: 100,
    // All nodes share one disk: one that is rather full must not evict their Pods.
    evictionHard: {
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
      'memory.available': '100Mi',
    },
    featureGates: { KubeletInUserNamespace: true },
    localStorageCapacityIsolation: false,
    resolvConf: join(node.folder, 'resolv.conf'),
  }),

  proxy: (node: NodeLayout, pki: Pki) => ({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig: pki.proxy.kubeconfig },
    hostnameOverride: node.name,
    clusterCIDR: ADDRESSES.pods,
    // The limits of the machine's connection tracking are not the node's to change.
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: '0s',
      tcpCloseWaitTimeout: '0s',
      udpTimeout: '0s',
      udpStreamTimeout: '0s',
    },
  }),
};

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
      ['containerd.toml', nodeConfiguration.containerd()],
      ['kubelet.yaml', stringify(nodeConfiguration.kubelet(this.layout, pki))],
      ['proxy.yaml', stringify(nodeConfiguration.proxy(this.layout, pki))],
      ['resolv.conf', `nameserver ${ADDRESSES.controlPlane}\n`],
    ];
    for (const [name, text] of files) await writeFile(join(folder, name), text);
    const network = JSON.stringify(nodeConfiguration.network(this.layout));
    await writeFile(join(this.#libFolder, 'cni/net.d/10-bridge.conflist'), network);
  }

  /** Starts everything; returns when the kubelet runs. That the node is Ready is for the API server to say. */
  async start(): Promise<void> {
    const { processes, layout, binaries, pki, pauseImage } = this.#parts;
    const { name, folder, address, namespace, cgroup } = this.layout;
    await this.#configure();
    await makeCgroup(cgroup);
    await processes.start({
      name: this.#program('holder'),
      logFile: this.#logFile('holder'),
      command: [
        ...(['nsenter', `--net=/run/netns/${namespace}`] as const),
        ...['unshare', '--mount', '--uts', '--propagation', 'private', 'bash', '-c', HOLDER, 'holder'],
        ...[daemonsFile(cgroup), name, folder, layout.folder, join(binaries, 'pause')],
      ],
    });
    await this.#until('its file system', async () => {
      const pid = await processes.pid(this.#program('holder'));
      return pid !== undefined && existsSync(`/proc/${pid}/root${HOLDER_READY}`);
    });
    await this.#daemon('containerd', ['--config', join(folder, 'containerd.toml')]);
    await this.#until('containerd', async () => {
      const answer = await this.exec(['ctr', 'version']).catch(() => undefined);
      return answer !== undefined;
    });
    await this.load(pauseImage);
    await this.#daemon('kube-proxy', [`--config=${join(folder, 'proxy.yaml')}`]);
    await this.#daemon('kubelet', [
      `--config=${join(folder, 'kubelet.yaml')}`,
      `--kubeconfig=${pki.nodes.get(name)!.kubeconfig}`,
      `--hostname-override=${name}`,
      `--node-ip=${address}`,
      '--root-dir=/var/lib/kubelet',
    ]);
  }

  async #daemon(program: string, args: readonly string[]): Promise<void> {
    const { processes, binaries } = this.#parts;
    await processes.start({
      name: this.#program(program),
      logFile: this.#logFile(program),
      env: this.#environment,
      command: [
        ...(await this.#enter()),
        ...['bash', '-c', JOIN, 'join', daemonsFile(this.layout.cgroup), join(binaries, program), ...args],
      ],
    });
  }

  get #environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${this.#parts.binaries}:${process.env.PATH ?? ''}` };
  }

  /** The start of a command line that runs a program on the node. */
  async #enter(): Promise<[string, ...string[]]> {
    const pid = await this.#parts.processes.pid(this.#program('holder'));
    if (pid === undefined) throw new ClusterError('NotReady', `${this.layout.name} does not run`);
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
      if (code !== 0)
        throw new ClusterError(
          'CommandFailed',
          `${this.layout.name} does not take ${archive}: ${errors.trim()}`,
        );
    } finally {
      await file.close();
    }
  }

  /** Whether its programs run. */
  async isRunning(): Promise<boolean> {
    const pids = ['holder', 'containerd', 'kubelet', 'kube-proxy'].map((program) =>
      this.#parts.processes.pid(this.#program(program)),
    );
    return (await Promise.all(pids)).every((pid) => pid !== undefined);
  }

  /** Kills everything on the node at once, Pods included, as a power cut does. */
  async crash(): Promise<void> {
    await killAll(() => processesOf(this.layout.cgroup));
  }

  /** @throws {ClusterError} NotReady, with the end of its log, if a program of the node has ended */
  async mustRun(): Promise<void> {
    for (const program of ['holder', 'containerd', 'kube-proxy', 'kubelet'])
      await this.#parts.processes.mustRun(this.#program(program), this.#logFile(program));
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MILLISECONDS;
    while (!(await isSo())) {
      if (Date.now() > end) {
        const log = this.#logFile(what === 'containerd' ? what : 'holder');
        throw new ClusterError('NotReady', `${this.layout.name}: ${what} is not there in time; see ${log}`);
      }
      await delay(100);
    }
  }
}
