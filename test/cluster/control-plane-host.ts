/** The control plane of a cluster with nodes: etcd, API server, controllers, scheduler and DNS on one host. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import {
  apiServerArguments,
  controllerManagerArguments,
  etcdArguments,
  schedulerArguments,
} from './component-arguments.ts';
import { ADDRESSES, type ClusterLayout } from './layout.ts';
import type { Pki } from './pki.ts';
import type { Processes } from './processes.ts';

/** Everything that runs on it. */
const PROGRAMS = [
  'etcd',
  'kube-apiserver',
  'forwarder-inside',
  'forwarder-outside',
  'kube-controller-manager',
  'kube-scheduler',
  'coredns',
];
const API_PORT = 6443;
const API_NAME = 'kubernetes.default.svc.cluster.local';
const ETCD_PORT = 2379;
const ETCD_PEER_PORT = 2380;

/** What the control plane is started from. */
export interface ControlPlaneParts {
  readonly layout: ClusterLayout;
  readonly processes: Processes;
  readonly binaries: string;
  readonly pki: Pki;
}

/** The cluster's names, for Pods; names of the world outside are not known. */
const corefile = (kubeconfig: string) => `.:53 {
  bind ${ADDRESSES.controlPlane}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    pods verified
  }
  cache 5
}
`;

export class ControlPlaneHost {
  readonly #parts: ControlPlaneParts;

  constructor(parts: ControlPlaneParts) {
    this.#parts = parts;
  }

  async #start(program: string, args: readonly string[]): Promise<void> {
    const { layout, processes, binaries } = this.#parts;
    await processes.start({
      name: program,
      logFile: layout.log(program),
      command: ['nsenter', `--net=/run/netns/${layout.controlPlane}`, join(binaries, program), ...args],
    });
  }

  /** Starts what answers the API, with an empty etcd. */
  async start(): Promise<void> {
    const { layout } = this.#parts;
    const data = join(layout.folder, 'etcd');
    await rm(data, { recursive: true, force: true });
    await this.#start('etcd', etcdArguments(data, ETCD_PORT, ETCD_PEER_PORT));
    await this.startApiServer();
  }

  /** Starts what works through the API; it need not answer yet. */
  async startControllers(): Promise<void> {
    const { layout, pki } = this.#parts;
    await this.#start('kube-controller-manager', controllerManagerArguments(pki));
    await this.#start('kube-scheduler', schedulerArguments(pki));
    const file = join(layout.folder, 'Corefile');
    await writeFile(file, corefile(pki.admin.kubeconfig));
    await this.#start('coredns', ['-conf', file]);
  }

  async startApiServer(): Promise<void> {
    const { pki } = this.#parts;
    const place = {
      etcdPort: ETCD_PORT,
      port: API_PORT,
      bindAddress: '0.0.0.0',
      advertiseAddress: ADDRESSES.controlPlane,
      serviceRange: ADDRESSES.services,
    };
    await this.#start('kube-apiserver', apiServerArguments(pki, place));
  }

  async stopApiServer(): Promise<void> {
    await this.#parts.processes.kill('kube-apiserver');
  }

  /** Makes the API server reachable at a port of the machine's loopback. */
  async forward(port: number): Promise<void> {
    const { layout, processes } = this.#parts;
    const forwarder = join(import.meta.dirname, 'forwarder.ts');
    const run = (name: string, namespace: string[], from: string, to: string) => {
      const [program = '', ...args] = [...namespace, process.execPath, forwarder, from, to];
      return processes.start({ name, logFile: layout.log(name), command: [program, ...args] });
    };
    const inside = ['nsenter', `--net=/run/netns/${layout.controlPlane}`];
    await run('forwarder-inside', inside, layout.apiSocket, `127.0.0.1:${API_PORT}`);
    await run('forwarder-outside', [], `127.0.0.1:${port}`, layout.apiSocket);
  }

  /** Names of its programs that do not run. */
  async stopped(): Promise<string[]> {
    const pids = await Promise.all(PROGRAMS.map((name) => this.#parts.processes.pid(name)));
    return PROGRAMS.filter((_, index) => pids[index] === undefined);
  }

  /** @throws {ClusterError} NotReady, with the end of its log, if one of these programs has ended */
  async mustRun(programs: readonly string[] = PROGRAMS): Promise<void> {
    const { layout, processes } = this.#parts;
    for (const name of programs) await processes.mustRun(name, layout.log(name));
  }

  /** @throws {ClusterError} CommandFailed unless the cluster's DNS knows the API server's name */
  async askDns(): Promise<void> {
    const probe = join(import.meta.dirname, 'dns-probe.ts');
    const inside = `--net=/run/netns/${this.#parts.layout.controlPlane}`;
    await runCommand('nsenter', [inside, process.execPath, probe, ADDRESSES.controlPlane, API_NAME]);
  }
}
