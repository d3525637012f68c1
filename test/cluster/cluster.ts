/**
 * A real Kubernetes with several nodes on one Linux machine, without a container engine. It goes on when the
 * command that made it has ended, and is found again by its name.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { binariesFolder, ensureBinaries, type Log } from './binaries.ts';
import { cgroupsOf, processesOf, removeCgroup } from './cgroups.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { ControlPlaneHost } from './control-plane-host.ts';
import { ClusterError } from './errors.ts';
import { ADDRESSES, ClusterLayout, MAX_NODES } from './layout.ts';
import { acquireLock } from './lock.ts';
import { freeLoopbackPorts } from './loopback-ports.ts';
import { makeNetwork, namespacesOf, removeNamespace, setCable, shapeLink, unshapeLink } from './network.ts';
import { ClusterNode, type NodeParts } from './node.ts';
import { writePauseImage } from './pause-image.ts';
import { ensurePki, kubeconfig, type Pki } from './pki.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import { killAll, Processes, processesMentioning } from './processes.ts';

/** What is written down of a cluster, so that any checkout can work with it. */
interface Settings {
  readonly nodes: number;
  /** Of the machine's loopback. */
  readonly port: number;
}

/** How a cluster is. */
export interface ClusterStatus {
  readonly name: string;
  readonly state: 'up' | 'partly up' | 'down';
  readonly nodes: readonly { readonly name: string; readonly running: boolean; readonly ready: boolean }[];
}

const READY_TIMEOUT_MILLISECONDS = 120_000;
const POLL_MILLISECONDS = 250;

interface NodeList {
  items: { metadata: { name: string }; status: { conditions?: { type: string; status: string }[] } }[];
}

export class Cluster {
  readonly layout: ClusterLayout;
  readonly #log: Log;
  readonly #processes: Processes;
  #settings: Settings | undefined;
  #madeParts: Promise<NodeParts> | undefined;

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

  async #read(): Promise<Settings> {
    if (this.#settings !== undefined) return this.#settings;
    const text = await readFile(this.layout.settings, 'utf8').catch(() => undefined);
    if (text === undefined)
      throw new ClusterError(
        'NotReady',
        `there is no cluster '${this.layout.name}'; npm run cluster -- up --name ${this.layout.name} makes it`,
      );
    this.#settings = JSON.parse(text) as Settings;
    return this.#settings;
  }

  /** Names of the nodes, in their order. */
  async nodeNames(): Promise<string[]> {
    const { nodes } = await this.#read();
    return Array.from({ length: nodes }, (_, index) => this.layout.node(index + 1).name);
  }

  async #pki(nodes: number): Promise<Pki> {
    return ensurePki({
      folder: this.layout.pki,
      nodes: Array.from({ length: nodes }, (_, index) => this.layout.node(index + 1)),
      apiAddress: ADDRESSES.controlPlane,
      serviceAddress: ADDRESSES.apiService,
      clusterName: this.layout.name,
    });
  }

  #parts(): Promise<NodeParts> {
    this.#madeParts ??= this.#makeParts();
    return this.#madeParts;
  }

  async #makeParts(): Promise<NodeParts> {
    const { nodes } = await this.#read();
    const { layout } = this;
    const pauseImage = join(layout.folder, 'pause.tar');
    const pki = await this.#pki(nodes);
    return { layout, processes: this.#processes, binaries: this.binaries, pki, pauseImage };
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
  async #alone<T>(doing: string, work: () => Promise<T>): Promise<T> {
    await mkdir(ClusterLayout.parent, { recursive: true });
    const release = await acquireLock(`${this.layout.folder}.lock`, { log: this.#log, doing });
    try {
      return await work();
    } finally {
      await release();
    }
  }

  /**
   * Brings the cluster up, and returns when all nodes are Ready. One that is up with as many nodes stays as it
   * is; anything else of that name is replaced.
   *
   * @throws {ClusterError} PrerequisiteMissing, CommandFailed, NotReady
   */
  async up({ nodes }: { nodes: number }): Promise<void> {
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
      throw new ClusterError('InvalidName', `a cluster has 1 to ${MAX_NODES} nodes, not ${nodes}`);
    await ensurePrerequisites({ log: this.#log });
    await ensureBinaries({ log: this.#log });
    await this.#alone('works on the cluster', async () => {
      const status = await this.status();
      if (status.state === 'up' && status.nodes.length === nodes) {
        this.#log(`Cluster ${this.layout.name} is up already`);
        return;
      }
      await this.#remove();
      await this.#make(nodes);
    });
  }

  async #make(nodes: number): Promise<void> {
    const started = Date.now();
    const { layout } = this;
    this.#log(`Cluster ${layout.name}: starting a control plane and ${nodes} node${nodes === 1 ? '' : 's'}`);
    await mkdir(join(layout.folder, 'log'), { recursive: true });
    const [port = 0] = await freeLoopbackPorts(1);
    this.#settings = { nodes, port };
    await writeFile(layout.settings, JSON.stringify(this.#settings));
    const parts = await this.#parts();
    const { pki, binaries } = parts;
    const user = { server: `https://127.0.0.1:${port}`, user: pki.admin };
    await writeFile(layout.kubeconfig, await kubeconfig(pki, user), { mode: 0o600 });
    await writePauseImage(join(binaries, 'pause'), parts.pauseImage);
    const all = await this.#nodes();
    await makeNetwork(
      layout,
      all.map((node) => node.layout),
    );
    const control = new ControlPlaneHost(parts);
    await control.start();
    await control.forward(port);
    const nodesStarted = Promise.all(all.map((node) => node.start()));
    await Promise.all([nodesStarted, this.#answers(control)]);
    await control.startControllers();
    await this.#ready(control, all);
    this.#log(
      `Cluster ${layout.name}: ${nodes} nodes are Ready after ${Math.round((Date.now() - started) / 1000)} s`,
    );
  }

  /** Waits for the API server. */
  async #answers(control: ControlPlaneHost): Promise<void> {
    await this.#until('the API server', async () => {
      await this.kubectl(['get', '--raw', '/readyz', '--request-timeout=5s']);
      return true;
    }).catch(async (error: unknown) => {
      await control.mustRun();
      throw error;
    });
  }

  /** Waits until all nodes are Ready and Pods can be made. */
  async #ready(control: ControlPlaneHost, nodes: readonly ClusterNode[]): Promise<void> {
    await this.#until('every node', async () => {
      await control.mustRun();
      for (const node of nodes) await node.mustRun();
      const ready = await this.#readyNodes();
      return nodes.every(({ layout }) => ready.has(layout.name));
    });
    await this.#until('the service account of the namespace default', async () => {
      await this.kubectl(['get', 'serviceaccount', 'default']);
      return true;
    });
  }

  async #readyNodes(): Promise<Set<string>> {
    const text = await this.kubectl(['get', 'nodes', '--output=json', '--request-timeout=5s']);
    const { items } = JSON.parse(text) as NodeList;
    const ready = items.filter(({ status }) =>
      status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    );
    return new Set(ready.map(({ metadata }) => metadata.name));
  }

  /** Tries until it is so. @throws {ClusterError} NotReady with the last reason */
  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + READY_TIMEOUT_MILLISECONDS;
    for (;;) {
      let reason = 'not yet';
      try {
        if (await isSo()) return;
      } catch (error) {
        if (error instanceof ClusterError && error.code === 'NotReady') throw error;
        reason = (error as Error).message;
      }
      if (Date.now() > end)
        throw new ClusterError(
          'NotReady',
          `${what} is not ready in time (${reason}); see ${this.layout.log('*')}`,
        );
      await delay(POLL_MILLISECONDS);
    }
  }

  /** Ends and removes everything of the cluster, whatever state it is in. */
  async down(): Promise<void> {
    await this.#alone('works on the cluster', () => this.#remove());
    await rm(`${this.layout.folder}.lock`, { force: true });
  }

  async #remove(): Promise<void> {
    const { layout } = this;
    for (const name of await this.#processes.names()) await this.#processes.kill(name);
    // What an interrupted run started and did not write down is found by where it is.
    await killAll(() => processesMentioning(layout.apiSocket));
    for (const cgroup of await cgroupsOf(layout.prefix)) {
      await killAll(() => processesOf(cgroup));
      await removeCgroup(cgroup);
    }
    for (const namespace of await namespacesOf(layout.prefix)) {
      await killAll(async () => {
        const { stdout } = await runCommand('ip', ['netns', 'pids', namespace]);
        return stdout.split('\n').filter(Boolean).map(Number);
      });
      await removeNamespace(namespace);
    }
    this.#settings = undefined;
    this.#madeParts = undefined;
    await rm(layout.folder, { recursive: true, force: true });
  }

  /** Looks; changes nothing. */
  async status(): Promise<ClusterStatus> {
    const { name } = this.layout;
    const isKnown = await this.#read().then(
      () => true,
      () => false,
    );
    if (!isKnown) return { name, state: 'down', nodes: [] };
    const ready = await this.#readyNodes().catch(() => new Set<string>());
    const nodes = await Promise.all(
      (await this.#nodes()).map(async (node) => ({
        name: node.layout.name,
        running: await node.isRunning(),
        ready: ready.has(node.layout.name),
      })),
    );
    const isUp = nodes.every(({ running, ready: isReady }) => running && isReady);
    const isDown = ready.size === 0 && nodes.every(({ running }) => !running);
    return { name, state: isUp ? 'up' : isDown ? 'down' : 'partly up', nodes };
  }

  /** Runs kubectl as administrator and returns what it prints. @throws {ClusterError} CommandFailed */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return this.#client('kubectl', args, input);
  }

  /** Runs helm as administrator and returns what it prints. @throws {ClusterError} CommandFailed */
  async helm(args: readonly string[]): Promise<string> {
    return this.#client('helm', args);
  }

  /** The environment in which kubectl and helm speak to this cluster. */
  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: this.layout.kubeconfig };
  }

  async #client(program: string, args: readonly string[], input?: string): Promise<string> {
    await this.#read();
    const options = { env: this.environment, ...(input === undefined ? {} : { input }) };
    return (await runCommand(join(this.binaries, program), args, options)).stdout;
  }

  /** Puts the image of an archive (OCI or docker) on every node. */
  async load(archive: string): Promise<void> {
    await Promise.all((await this.#nodes()).map((node) => node.load(archive)));
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

  /** Starts a crashed node again. */
  async reviveNode(node: string): Promise<void> {
    await (await this.#node(node)).start();
  }

  /** @param rate of the node's link in either direction, as tc writes it: `100mbit` */
  async shapeNode(node: string, rate: string): Promise<void> {
    await shapeLink(this.layout, (await this.#node(node)).layout, rate);
  }

  async unshapeNode(node: string): Promise<void> {
    await unshapeLink(this.layout, (await this.#node(node)).layout);
  }

  /**
   * Gives a node's content root a disk of its own, empty and of a size. A Pod that runs keeps the old one.
   *
   * @param size as mount takes it: `64m`
   */
  async limitDisk(node: string, size: string, path = '/var/lib/enxame'): Promise<void> {
    const on = await this.#node(node);
    await on.exec(['mkdir', '-p', path]);
    await on.exec(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'enxame-disk', path]);
  }

  /** Takes the disk of limitDisk away again. */
  async unlimitDisk(node: string, path = '/var/lib/enxame'): Promise<void> {
    await (await this.#node(node)).exec(['umount', '--lazy', path]);
  }

  /** Kills the API server. */
  async stopApiServer(): Promise<void> {
    await new ControlPlaneHost(await this.#parts()).stopApiServer();
  }

  /** Starts the API server again, and returns when it answers. */
  async startApiServer(): Promise<void> {
    const control = new ControlPlaneHost(await this.#parts());
    await control.startApiServer();
    await this.#answers(control);
  }
}
