/**
 * What a machine must have before a cluster can run on it. Root on Debian or Ubuntu gets what is missing by
 * apt-get; for everybody else one error names all of it at once, so that it takes one trip to get it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { areBuilt, type Log } from './binaries.ts';
import { findProgram } from './bound-process.ts';
import { runCommand } from './command.ts';
import { ClusterError } from './errors.ts';
import { CLUSTER_PROGRAMS } from './go-programs.ts';
import { findGo, HOW_TO_GET_GO, newEnough } from './go-toolchain.ts';

/** Something of a package of the distribution: a program by its name, or a file by its path. */
interface Requirement {
  readonly needed: string;
  /** On Debian and Ubuntu; elsewhere mostly the same. */
  readonly package: string;
}

/** Where Debian puts the network plugins. */
export const CNI_FOLDER = '/usr/lib/cni';

const CONTROL_PLANE: readonly Requirement[] = [{ needed: 'openssl', package: 'openssl' }];
const NODES: readonly Requirement[] = [
  { needed: 'runc', package: 'runc' },
  { needed: 'ip', package: 'iproute2' },
  { needed: 'tc', package: 'iproute2' },
  { needed: 'iptables', package: 'iptables' },
  { needed: 'nft', package: 'nftables' },
  { needed: 'conntrack', package: 'conntrack' },
  ...['bridge', 'host-local', 'loopback', 'portmap'].map((plugin) => ({
    needed: `${CNI_FOLDER}/${plugin}`,
    package: 'containernetworking-plugins',
  })),
  ...['nsenter', 'unshare', 'setpriv'].map((needed) => ({ needed, package: 'util-linux' })),
  { needed: 'mount', package: 'mount' },
  { needed: 'sysctl', package: 'procps' },
];

/** Where programs for root lie; PATH leaves these out for other users, and in some root shells. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** What is asked of the machine; tests hand in one of their own. */
export interface Machine {
  readonly platform: string;
  readonly isRoot: boolean;
  /** The text of os-release(5). */
  readonly osRelease: string;
  /** Whether a program by its name, or a file by its path, is there. */
  has(needed: string): boolean;
  /** Whether these programs of the cluster are built, so that nobody needs Go. */
  areBuilt(programs: readonly string[]): boolean;
  /** What is wrong with Go; undefined if it will do. */
  goProblem(): Promise<string | undefined>;
  /** Runs a program to its end; throws a ClusterError if it fails. */
  run(program: string, args: readonly string[]): Promise<string>;
}

export interface PrerequisiteOptions {
  log: Log;
  /** Only what an API server on loopback needs: no root, no nodes. */
  controlPlaneOnly?: boolean;
  /** Which programs of the cluster are wanted; all by default. */
  programs?: readonly string[];
  machine?: Machine;
}

/**
 * Makes sure that this machine has what a cluster needs, and that PATH leads to it.
 *
 * @throws {ClusterError} PrerequisiteMissing, naming everything that is missing and how to get it
 */
export async function ensurePrerequisites(options: PrerequisiteOptions): Promise<void> {
  const { log, machine = thisMachine() } = options;
  const controlPlaneOnly = options.controlPlaneOnly ?? false;
  const required = controlPlaneOnly ? CONTROL_PLANE : [...CONTROL_PLANE, ...NODES];
  const missing = () => required.filter(({ needed }) => !machine.has(needed));
  const goProblem = async () =>
    machine.areBuilt(options.programs ?? CLUSTER_PROGRAMS.programs) ? undefined : machine.goProblem();

  let failedInstall: ClusterError | undefined;
  if ((missing().length > 0 || (await goProblem()) !== undefined) && canInstall(machine)) {
    const wantsGo = (await goProblem()) !== undefined;
    failedInstall = await install(machine, packagesOf(missing()), wantsGo, log);
  }
  const lines = missing().map(({ needed, package: name }) => `${needed} (package ${name})`);
  if (machine.platform !== 'linux') lines.unshift(`Linux; this is ${machine.platform}`);
  if (!controlPlaneOnly && !machine.isRoot)
    lines.unshift('root, to make network namespaces and mounts: run the command with sudo');
  const go = await goProblem();
  if (go !== undefined) lines.push(`${HOW_TO_GET_GO}; here ${go}`);
  if (lines.length === 0) return;
  const packages = packagesOf(missing());
  const advice = packages.length === 0 ? '' : `\nOn Debian and Ubuntu: apt-get install ${packages.join(' ')}`;
  const why = failedInstall === undefined ? '' : `\napt-get failed: ${failedInstall.message}`;
  throw new ClusterError(
    'PrerequisiteMissing',
    `This machine lacks:${lines.map((line) => `\n  - ${line}`).join('')}${advice}${why}`,
    { cause: failedInstall },
  );
}

function packagesOf(requirements: readonly Requirement[]): string[] {
  return [...new Set(requirements.map(({ package: name }) => name))];
}

function canInstall(machine: Machine): boolean {
  const words = machine.osRelease
    .split('\n')
    .filter((line) => /^ID(_LIKE)?=/.test(line))
    .flatMap((line) =>
      line
        .replace(/^[^=]*=/, '')
        .replaceAll('"', '')
        .split(' '),
    );
  return (
    machine.isRoot && words.some((word) => word === 'debian' || word === 'ubuntu') && machine.has('apt-get')
  );
}

/** @returns what went wrong, undefined if nothing did */
async function install(
  machine: Machine,
  packages: readonly string[],
  wantsGo: boolean,
  log: Log,
): Promise<ClusterError | undefined> {
  try {
    log('Asking apt-get for what this machine lacks (apt-get update)');
    await machine.run('apt-get', ['update', '--quiet=2']);
    const wanted = [...packages];
    if (wantsGo && (await packagedGoWillDo(machine))) wanted.push('golang-go');
    if (wanted.length === 0) return undefined;
    log(`Installing ${wanted.join(' ')} (apt-get install)`);
    await machine.run('apt-get', ['install', '--yes', '--quiet=2', '--no-install-recommends', ...wanted]);
    return undefined;
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
}

/** Whether the distribution's own Go is new enough; that of Debian 12 is 1.19. */
async function packagedGoWillDo(machine: Machine): Promise<boolean> {
  const policy = await machine.run('apt-cache', ['policy', 'golang-go']);
  const version = /Candidate: (?:\d+:)?(\d+\.\d+)/.exec(policy)?.[1];
  return version !== undefined && newEnough(version);
}

/**
 * The machine that this runs on. Programs count as there in PATH and in the folders for root; PATH is
 * lengthened by the latter, because containerd and kubelet look for runc, mount and iptables by name.
 */
function thisMachine(): Machine {
  const path = (process.env.PATH ?? '').split(delimiter);
  const further = SYSTEM_FOLDERS.filter((folder) => !path.includes(folder));
  process.env.PATH = [...path, ...further].join(delimiter);
  return {
    platform: process.platform,
    isRoot: process.getuid?.() === 0,
    osRelease: existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
    has: (needed) => (needed.startsWith('/') ? existsSync(needed) : findProgram(needed) !== null),
    areBuilt,
    goProblem: async () => (await findGo()).problem,
    run: async (program, args) => {
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' };
      return (await runCommand(program, args, { env })).stdout;
    },
  };
}
