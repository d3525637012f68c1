/**
 * The same commands on a cluster that kind makes, for those who have a Docker engine and kind. Untried: the
 * machines of this project have no engine. Content is on the nodes' disks, which are containers here; the control
 * plane's node is tainted and takes no Pods but those that tolerate it.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { binariesFolder, cacheFolder, ensureBinaries, type Log } from './binaries.ts';
import { findProgram } from './bound-process.ts';
import type { Cluster, ClusterStatus } from './cluster.ts';
import { runCommand } from './command.ts';
import { ClusterError } from './errors.ts';

/** What the command line asks of any cluster. */
export type ClusterCommands = Pick<
  Cluster,
  | 'up'
  | 'down'
  | 'status'
  | 'nodeNames'
  | 'kubeconfigPath'
  | 'environment'
  | 'binaries'
  | 'load'
  | 'cutNode'
  | 'rejoinNode'
  | 'crashNode'
  | 'reviveNode'
  | 'shapeNode'
  | 'unshapeNode'
  | 'limitDisk'
  | 'unlimitDisk'
  | 'stopApiServer'
  | 'startApiServer'
>;

interface KindConfiguration {
  nodes: { role: string }[];
}

const CONFIGURATION = join(import.meta.dirname, 'kind.yaml');
/** kubeadm's static Pod of the API server: the kubelet runs what lies there. */
const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
const PARKED_MANIFEST = '/etc/kubernetes/kube-apiserver.yaml';

const docker = async (...args: string[]) => (await runCommand('docker', args)).stdout;
const lines = (text: string) => text.split('\n').filter((line) => line !== '');

export class KindCluster implements ClusterCommands {
  readonly #name: string;
  readonly #log: Log;

  constructor(name: string, log: Log = (line) => process.stderr.write(`${line}\n`)) {
    this.#name = name;
    this.#log = log;
  }

  get kubeconfigPath(): string {
    return join(cacheFolder(), 'kind', `${this.#name}.kubeconfig`);
  }

  get binaries(): string {
    return binariesFolder();
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: this.kubeconfigPath };
  }

  async #kind(args: readonly string[], input?: string): Promise<string> {
    const missing = ['docker', 'kind'].filter((program) => findProgram(program) === null);
    if (missing.length > 0)
      throw new ClusterError('PrerequisiteMissing', `--kind needs ${missing.join(' and ')} in PATH`);
    const full = [...args, '--name', this.#name];
    return (await runCommand('kind', full, { ...(input === undefined ? {} : { input }) })).stdout;
  }

  async #exec(node: string, ...command: string[]): Promise<void> {
    const nodes = await this.nodeNames();
    if (!nodes.includes(node) && node !== this.#controlPlane)
      throw new ClusterError('InvalidName', `there is no node '${node}'; there are ${nodes.join(', ')}`);
    await docker('exec', '--privileged', node, ...command);
  }

  get #controlPlane(): string {
    return `${this.#name}-control-plane`;
  }

  /** Names of the workers. */
  async nodeNames(): Promise<string[]> {
    const nodes = lines(await this.#kind(['get', 'nodes'])).filter((node) => node !== this.#controlPlane);
    if (nodes.length > 0) return nodes.sort();
    throw new ClusterError('NotReady', `kind has no cluster '${this.#name}'; up --kind makes it`);
  }

  async up({ nodes }: { nodes: number }): Promise<void> {
    await ensureBinaries({ log: this.#log, programs: ['kubectl', 'helm'] });
    await mkdir(join(cacheFolder(), 'kind'), { recursive: true });
    const status = await this.status();
    if (status.state === 'up' && status.nodes.length === nodes) {
      this.#log(`Cluster ${this.#name} is up already`);
      return;
    }
    await this.down();
    const configuration = parse(await readFile(CONFIGURATION, 'utf8')) as KindConfiguration;
    const workers = Array.from({ length: nodes }, () => ({ role: 'worker' }));
    configuration.nodes = [{ role: 'control-plane' }, ...workers];
    const files = ['--config', '-', '--kubeconfig', this.kubeconfigPath];
    await this.#kind(['create', 'cluster', '--wait', '180s', ...files], stringify(configuration));
  }

  async down(): Promise<void> {
    await this.#kind(['delete', 'cluster', '--kubeconfig', this.kubeconfigPath]);
  }

  async status(): Promise<ClusterStatus> {
    const names = await this.nodeNames().catch((error: ClusterError) => {
      if (error.code === 'NotReady') return [];
      throw error;
    });
    if (names.length === 0) return { name: this.#name, state: 'down', stopped: [], nodes: [] };
    const running = lines(await docker('ps', '--format', '{{.Names}}'));
    const isReady = (node: string) =>
      this.#kubectl('wait', '--for=condition=Ready', `node/${node}`, '--timeout=1s').then(
        () => true,
        () => false,
      );
    const nodes = await Promise.all(
      names.map(async (name) => ({ name, running: running.includes(name), ready: await isReady(name) })),
    );
    const stopped = running.includes(this.#controlPlane) ? [] : [this.#controlPlane];
    const isUp = stopped.length === 0 && nodes.every((node) => node.running && node.ready);
    return { name: this.#name, state: isUp ? 'up' : 'partly up', stopped, nodes };
  }

  async #kubectl(...args: string[]): Promise<void> {
    await runCommand(join(this.binaries, 'kubectl'), args, { env: this.environment });
  }

  async load(archive: string): Promise<void> {
    await this.#kind(['load', 'image-archive', archive]);
  }

  async cutNode(node: string): Promise<void> {
    await this.#drop(node, '--insert');
  }

  async rejoinNode(node: string): Promise<void> {
    await this.#drop(node, '--delete');
  }

  async #drop(node: string, verb: string): Promise<void> {
    for (const [chain, flag] of [
      ['INPUT', '--in-interface'],
      ['OUTPUT', '--out-interface'],
      ['FORWARD', '--in-interface'],
      ['FORWARD', '--out-interface'],
    ] as const)
      await this.#exec(node, 'iptables', '--wait', verb, chain, flag, 'eth0', '--jump', 'DROP');
  }

  async crashNode(node: string): Promise<void> {
    await docker('kill', node);
  }

  async reviveNode(node: string): Promise<void> {
    await docker('start', node);
    await this.#kubectl('wait', '--for=condition=Ready', `node/${node}`, '--timeout=120s');
  }

  async stopApiServer(): Promise<void> {
    await this.#exec(this.#controlPlane, 'mv', MANIFEST, PARKED_MANIFEST);
  }

  async startApiServer(): Promise<void> {
    await this.#exec(this.#controlPlane, 'mv', PARKED_MANIFEST, MANIFEST);
  }

  async shapeNode(): Promise<void> {
    this.#refuse('the shaping of links');
  }

  async unshapeNode(): Promise<void> {
    this.#refuse('the shaping of links');
  }

  async limitDisk(): Promise<void> {
    this.#refuse('small disks');
  }

  async unlimitDisk(): Promise<void> {
    this.#refuse('small disks');
  }

  #refuse(what: string): never {
    throw new ClusterError('NotReady', `there is no support for ${what} by kind; without --kind there is`);
  }
}
