/**
 * A real Kubernetes with several nodes on one Linux machine, without a container engine. It goes on when the
 * command that made it has ended, and is found again by its name.
 */
import { chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { binariesFolder, ensureBinaries, type Log } from './binaries.ts';
import { bringUp, type RunningParts, readyNodes, waitForApiServer, waitForNode } from './bring-up.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { ControlPlaneHost } from './control-plane-host.ts';
import { ClusterError } from './errors.ts';
import { ADDRESSES, ClusterLayout, MAX_NODES } from './layout.ts';
import { acquireLock } from './lock.ts';
import { freeLoopbackPorts } from './loopback-ports.ts';
import { setCable, shapeLink, unshapeLink } from './network.ts';
import { ClusterNode } from './node.ts';
import { ensurePki, kubeconfig } from './pki.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import { Processes } from './processes.ts';
import { removeCluster } from './removal.ts';

/** What is written down of a cluster, so that any checkout can work with it. */
interface Settings {
  readonly nodes: number;
  /** Of the machine's loopback; leads to the API server. */
  readonly port: number;
}

/** How a cluster is. */
export interface ClusterStatus {
  readonly name: string;
  readonly state: 'up' | 'partly up' | 'down';
  /** Programs of the control plane that do not run. */
  readonly stopped: readonly string[];
  readonly nodes: readonly { readonly name: string; readonly running: boolean; readonly ready: boolean }[];
}

/** Where agents keep their content. */
const CONTENT_ROOT = '/var/lib/enxame';

export class Cluster {
  readonly layout: ClusterLayout;
  readonly #log: Log;
  readonly #processes: Processes;
  #madeParts: Promise<RunningParts> | undefined;

  /** @throws {ClusterError} InvalidName */
  constructor(name: string, log: Log = (line) => process.stderr.write(`${line}\n`)) {
    this.layout = new ClusterLayout(name);
    this.#log = log;
    this.#processes = new Processes(join(this.layout.folder, 'run'));
  }

  /** Names of all clusters that have left a trace on this machine. */
  static async names(): Promise<string[]> {
    const entries = await readdir(ClusterLayout.parent, { withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  }

  get kubeconfigPath(): string {
    return this.layout.kubeconfig;
  }

  /** Folder of kubectl, helm and the rest. */
  get binaries(): string {
    return binariesFolder();
  }

  /** The environment in which kubectl and helm speak to this cluster. */
  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: this.layout.kubeconfig };
  }

  async #settings(): Promise<Settings> {
    const { name, settings } = this.layout;
    const text = await readFile(settings, 'utf8').catch(() => undefined);
    const advice = `npm run cluster -- up --name ${name} makes it`;
    if (text === undefined) throw new ClusterError('NotReady', `there is no cluster '${name}'; ${advice}`);
    return JSON.parse(text) as Settings;
  }

  /** Names of the nodes, in their order. @throws {ClusterError} NotReady if there is no such cluster */
  async nodeNames(): Promise<string[]> {
    const { nodes } = await this.#settings();
    return Array.from({ length: nodes }, (_, index) => this.layout.node(index + 1).name);
  }

  async #makeParts(settings: Settings): Promise<RunningParts> {
    const { layout } = this;
    const pki = await ensurePki({
      folder: layout.pki,
      nodes: Array.from({ length: settings.nodes }, (_, index) => layout.node(index + 1)),
      apiAddress: ADDRESSES.controlPlane,
      serviceAddress: ADDRESSES.apiService,
      clusterName: layout.name,
    });
    const pauseImage = join(layout.folder, 'pause.tar');
    const { binaries } = this;
    return { layout, processes: this.#processes, binaries, pki, pauseImage, port: settings.port };
  }

  #parts(): Promise<RunningParts> {
    this.#madeParts ??= this.#settings().then((settings) => this.#makeParts(settings));
    this.#madeParts.catch(() => {
      this.#madeParts = undefined;
    });
    return this.#madeParts;
  }

  async #node(name: string): Promise<ClusterNode> {
    const names = await this.nodeNames();
    const index = names.indexOf(name);
    if (index < 0)
      throw new ClusterError('InvalidName', `there is no node '${name}'; there are ${names.join(', ')}`);
    return new ClusterNode(this.layout.node(index + 1), await this.#parts());
  }

  async #nodes(): Promise<ClusterNode[]> {
    return Promise.all((await this.nodeNames()).map((name) => this.#node(name)));
  }

  /** Keeps two runs from working on one cluster at once. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (process.getuid?.() !== 0)
      throw new ClusterError('PrerequisiteMissing', 'clusters are made and removed by root: use sudo');
    await mkdir(ClusterLayout.parent, { recursive: true });
    const lock = { log: this.#log, doing: `works on the cluster ${this.layout.name}` };
    const release = await acquireLock(`${this.layout.folder}.lock`, lock);
    try {
      return await work();
    } finally {
      await release();
    }
  }

  /**
   * Brings the cluster up, and returns when all nodes are Ready, its DNS answers and Pods can be made. One that
   * is up with as many nodes stays as it is; anything else of that name is replaced.
   *
   * @throws {ClusterError} PrerequisiteMissing, CommandFailed, NotReady
   */
  async up({ nodes }: { nodes: number }): Promise<void> {
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
      throw new ClusterError('InvalidName', `a cluster has 1 to ${MAX_NODES} nodes, not ${nodes}`);
    await ensurePrerequisites({ log: this.#log });
    await ensureBinaries({ log: this.#log });
    await this.#alone(async () => {
      const status = await this.status();
      if (status.state === 'up' && status.nodes.length === nodes) {
        this.#log(`Cluster ${this.layout.name} is up already`);
        return;
      }
      await this.#remove();
      await this.#make(nodes);
    });
  }

  async #make(count: number): Promise<void> {
    const { layout } = this;
    await mkdir(layout.folder, { recursive: true });
    const [port = 0] = await freeLoopbackPorts(1);
    const settings: Settings = { nodes: count, port };
    const parts = await this.#makeParts(settings);
    const user = { server: `https://127.0.0.1:${port}`, user: parts.pki.admin };
    await writeFile(layout.kubeconfig, await kubeconfig(parts.pki, user), { mode: 0o600 });
    // Whoever used sudo shall be able to use kubectl without.
    const { SUDO_UID, SUDO_GID } = process.env;
    if (SUDO_UID !== undefined && SUDO_GID !== undefined)
      await chown(layout.kubeconfig, Number(SUDO_UID), Number(SUDO_GID));
    await writeFile(layout.settings, JSON.stringify(settings));
    await bringUp(parts, await this.#nodes(), this.#log);
  }

  /** Ends and removes everything of the cluster, whatever state it is in. */
  async down(): Promise<void> {
    await this.#alone(() => this.#remove());
  }

  async #remove(): Promise<void> {
    this.#madeParts = undefined;
    await removeCluster(this.layout, this.#processes);
  }

  /** Looks; changes nothing. */
  async status(): Promise<ClusterStatus> {
    const { name } = this.layout;
    const names = await this.nodeNames().catch(() => undefined);
    if (names === undefined) return { name, state: 'down', stopped: [], nodes: [] };
    const parts = await this.#parts();
    const stopped = await new ControlPlaneHost(parts).stopped();
    const known = await readyNodes(parts).catch(() => undefined);
    const nodes = await Promise.all(
      (await this.#nodes()).map(async (node) => ({
        name: node.layout.name,
        running: await node.isRunning(),
        ready: known?.has(node.layout.name) === true,
      })),
    );
    const isUp = stopped.length === 0 && nodes.every(({ running, ready }) => running && ready);
    const isDown = known === undefined && nodes.every(({ running }) => !running);
    return { name, state: isUp ? 'up' : isDown ? 'down' : 'partly up', stopped, nodes };
  }

  /** Runs kubectl as administrator and returns what it prints. @throws {ClusterError} CommandFailed */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return this.#client('kubectl', args, input);
  }

  /** Runs helm as administrator and returns what it prints. @throws {ClusterError} CommandFailed */
  async helm(args: readonly string[]): Promise<string> {
    return this.#client('helm', args);
  }

  async #client(program: string, args: readonly string[], input?: string): Promise<string> {
    await this.#settings();
    const options = { env: this.environment, ...(input === undefined ? {} : { input }) };
    return (await runCommand(join(this.binaries, program), args, options)).stdout;
  }

  /** Puts the image of an archive (OCI or docker) on every node. */
  async load(archive: string): Promise<void> {
    await Promise.all((await this.#nodes()).map((node) => node.load(archive)));
  }

  /**
   * Has every node pull the images of a registry from a URL: nodes reach nothing but the cluster's own network.
   *
   * @param registry as images name it: `registry.example.com`
   */
  async pullFrom(registry: string, url: string): Promise<void> {
    for (const node of await this.#nodes()) await node.pullFrom(registry, url);
  }

  /** The environment of kubectl and helm with the network of the control plane's host. */
  async controlPlaneEnvironment(): Promise<NodeJS.ProcessEnv> {
    return { ...process.env, KUBECONFIG: (await this.#parts()).pki.admin.kubeconfig };
  }

  /** Runs a program with a node's files and network. @throws {ClusterError} CommandFailed */
  async nodeExec(node: string, command: readonly string[], input?: string): Promise<CommandOutput> {
    return (await this.#node(node)).exec(command, input);
  }

  /** Pulls a node's network cable. */
  async cutNode(node: string): Promise<void> {
    await setCable(this.layout, (await this.#node(node)).layout, false);
  }

  async rejoinNode(node: string): Promise<void> {
    await setCable(this.layout, (await this.#node(node)).layout, true);
  }

  /** Kills everything on a node at once; its disk stays. */
  async crashNode(node: string): Promise<void> {
    await (await this.#node(node)).crash();
  }

  /**
   * Starts a crashed node again, and returns when it says that it is Ready: its Pods come after that. One that
   * runs stays as it is.
   */
  async reviveNode(name: string): Promise<void> {
    const node = await this.#node(name);
    if (await node.isRunning()) return;
    const startedAt = new Date();
    await node.startRuntime();
    await node.startKubelet();
    await waitForNode(await this.#parts(), node, startedAt);
  }

  /**
   * @param rate of the node's link in either direction, as tc writes it: `100mbit`
   * @param delay that each direction adds: `20ms`; the kernel must have netem
   */
  async shapeNode(node: string, rate: string, delay?: string): Promise<void> {
    await shapeLink(this.layout, (await this.#node(node)).layout, rate, delay);
  }

  async unshapeNode(node: string): Promise<void> {
    await unshapeLink(this.layout, (await this.#node(node)).layout);
  }

  /**
   * Gives a node's content root a disk of its own, empty, in memory and of a size. A container that runs keeps
   * the old one until it is started again.
   *
   * @param size in bytes, or as mount takes it: `64m`
   */
  async limitDisk(node: string, size: number | string, path = CONTENT_ROOT): Promise<void> {
    await (await this.#node(node)).mountSmallDisk(path, size);
  }

  /** Takes the disk of limitDisk away again, and what is on it. */
  async unlimitDisk(node: string, path = CONTENT_ROOT): Promise<void> {
    await (await this.#node(node)).unmountSmallDisk(path);
  }

  /** Kills the API server. */
  async stopApiServer(): Promise<void> {
    await new ControlPlaneHost(await this.#parts()).stopApiServer();
  }

  /** Starts the API server again, and returns when it answers. */
  async startApiServer(): Promise<void> {
    const parts = await this.#parts();
    await new ControlPlaneHost(parts).startApiServer();
    await waitForApiServer(parts);
  }
}
