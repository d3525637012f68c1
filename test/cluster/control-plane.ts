/**
 * A real API server with its etcd, and on request the controller manager, on free ports of loopback: what
 * tests need that speak to the API and not to nodes. Needs no root; its programs die with this process.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { apiGet } from './api-request.ts';
import { ensureBinaries, type Log } from './binaries.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { apiServerArguments, controllerManagerArguments, etcdArguments } from './component-arguments.ts';
import { freeLoopbackPorts } from './loopback-ports.ts';
import { makeOwnFolder } from './own-folder.ts';
import { ensurePki, type Pki } from './pki.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import { ServerProcess } from './server-process.ts';

export interface ControlPlaneOptions {
  /** Holds certificates, data and logs, and stays after `close`. A temporary folder that goes by default. */
  folder?: string;
  log?: Log;
  /** Also runs the controller manager: garbage collection, namespaces' end, service accounts. */
  controllerManager?: boolean;
}

/** A control plane that runs. */
export interface ControlPlane {
  /** Of the administrator. */
  readonly kubeconfigPath: string;
  /** URL of the API server. */
  readonly server: string;
  /** The folder of kubectl, helm and all the others. */
  readonly binaries: string;
  readonly folder: string;
  /**
   * Runs kubectl as administrator and returns what it prints.
   *
   * @param input text for its standard input, for `-f -`
   * @throws {ClusterError} CommandFailed with `stderr`
   */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Ends the API server, as a crash unless another signal is given, and waits until it is gone. */
  stopApiServer(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port, and waits until it answers. */
  startApiServer(): Promise<void>;
  /** Ends everything and removes the temporary folder. */
  close(): Promise<void>;
}

const API_PROGRAMS = ['etcd', 'kube-apiserver', 'kubectl'];
const CONTROLLER_MANAGER = 'kube-controller-manager';
const SERVICE_RANGE = '10.96.0.0/16';
const SERVICE_ADDRESS = '10.96.0.1';
const DEFAULT_NAMESPACE = '/api/v1/namespaces/default';
const READY_TIMEOUT_MILLISECONDS = 60_000;
const POLL_MILLISECONDS = 100;

/**
 * Starts a control plane with an empty etcd. When this resolves the API server is ready, the namespace
 * `default` exists and, with the controller manager, its service account too, so that Pods can be made.
 *
 * @throws {ClusterError} NotReady with the end of the log of the program that failed
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const log = options.log ?? ((line) => process.stderr.write(`${line}\n`));
  const programs = options.controllerManager === true ? [...API_PROGRAMS, CONTROLLER_MANAGER] : API_PROGRAMS;
  await ensurePrerequisites({ log, programs, controlPlaneOnly: true });
  const binaries = await ensureBinaries({ log, programs });
  const folder = options.folder ?? (await makeOwnFolder('control-plane'));
  await mkdir(folder, { recursive: true });
  const [etcdPort = 0, peerPort = 0, apiPort = 0] = await freeLoopbackPorts(3);
  const pki = await ensurePki({
    folder: join(folder, 'pki'),
    nodes: [],
    apiAddress: '127.0.0.1',
    apiPort,
    serviceAddress: SERVICE_ADDRESS,
  });
  const server = (program: string, args: string[]) =>
    new ServerProcess({ program: join(binaries, program), args, logFile: join(folder, `${program}.log`) });
  const etcd = server('etcd', etcdArguments(join(folder, 'etcd'), etcdPort, peerPort));
  const apiServer = server(
    'kube-apiserver',
    apiServerArguments(pki, {
      ...{ etcdPort, port: apiPort, serviceRange: SERVICE_RANGE },
      ...{ bindAddress: '127.0.0.1', advertiseAddress: '127.0.0.1' },
    }),
  );
  const controllerManager = server(CONTROLLER_MANAGER, controllerManagerArguments(pki));
  const servers = [controllerManager, apiServer, etcd];

  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const env = { ...process.env, KUBECONFIG: pki.admin.kubeconfig, KUBECACHEDIR: join(folder, 'kubectl') };
    const output: CommandOutput = await runCommand(join(binaries, 'kubectl'), args, { env, input });
    return output.stdout;
  };
  /** Waits until the API server has all of these. */
  const answers = async (paths: readonly string[], running: readonly ServerProcess[]) => {
    const deadline = Date.now() + READY_TIMEOUT_MILLISECONDS;
    for (;;) {
      const missing = await whatIsMissing(pki, paths);
      if (missing === undefined) return;
      const ended = running.find((program) => !program.running);
      if (ended !== undefined) throw await ended.failure('ended before the control plane was ready');
      if (Date.now() > deadline) throw await apiServer.failure(`is not ready: ${missing}`);
      await delay(POLL_MILLISECONDS);
    }
  };
  const startApiServer = async () => {
    apiServer.start();
    // The namespace is made a moment after the server calls itself ready.
    await answers(['/readyz', DEFAULT_NAMESPACE], [etcd, apiServer]);
  };
  const close = async () => {
    for (const program of servers) await program.stop('SIGKILL');
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    etcd.start();
    await startApiServer();
    if (options.controllerManager === true) {
      controllerManager.start();
      await answers([`${DEFAULT_NAMESPACE}/serviceaccounts/default`], servers);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    kubeconfigPath: pki.admin.kubeconfig,
    server: pki.server,
    binaries,
    folder,
    kubectl,
    stopApiServer: (signal = 'SIGKILL') => apiServer.stop(signal),
    startApiServer,
    close,
  };
}

/** What the API server lacks yet, and what it says; undefined if it has everything. */
async function whatIsMissing(pki: Pki, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      const { status, body } = await apiGet(pki, path);
      if (status !== 200) return `${path}: ${status} ${body}`;
    } catch (error) {
      return `${path}: ${(error as Error).message}`;
    }
  }
  return undefined;
}
