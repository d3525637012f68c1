/**
 * The programs of a cluster, built from Go modules once and kept outside the repository, under a key of
 * everything that makes them what they are. A program in the folder is finished: it is built under another
 * name and renamed, so an interrupted build loses the one program it was at and never leaves half of one.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { runCommand } from './command.ts';
import {
  buildArguments,
  CLUSTER_PROGRAMS,
  type GoModule,
  type ProgramGroup,
  type ProgramSet,
} from './go-programs.ts';
import { goEnvironment, requireGo } from './go-toolchain.ts';
import { acquireLock } from './lock.ts';
import { VERSIONS } from './versions.ts';

/** Gets lines for a person who waits. */
export type Log = (line: string) => void;

/** How often a build that takes long says that it is still at work. */
const STILL_MILLISECONDS = 30_000;
/** Folders of unfinished work inside the folder of programs. */
const WORK_PREFIX = '.build-';

/** The project's folder for what is dear to make and safe to delete: $XDG_CACHE_HOME or ~/.cache, /enxame. */
export function cacheFolder(): string {
  const cache = process.env.XDG_CACHE_HOME;
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(homedir(), '.cache'), 'enxame');
}

/** The folder of the programs as this version of the project wants them, whether they are there or not. */
export function binariesFolder(set: ProgramSet = CLUSTER_PROGRAMS): string {
  const hash = createHash('sha256').update(set.recipe).digest('hex').slice(0, 12);
  return join(cacheFolder(), 'binaries', `${set.name}-${hash}`);
}

/** Whether these programs are there. */
export function areBuilt(programs: readonly string[], set: ProgramSet = CLUSTER_PROGRAMS): boolean {
  return programs.every((program) => existsSync(join(binariesFolder(set), program)));
}

export interface BinariesOptions {
  /** Standard error by default. */
  log?: Log;
  /** What a cluster is made of by default. */
  set?: ProgramSet;
  /** Names out of the set; all of them by default. */
  programs?: readonly string[];
}

/**
 * Makes sure that the programs are there: kube-apiserver, kubelet, containerd, helm and so on. Takes minutes the
 * first time, and nothing after that.
 *
 * @returns the folder that holds them
 * @throws {ClusterError} PrerequisiteMissing without a Go that will do, CommandFailed if Go fails
 */
export async function ensureBinaries(options: BinariesOptions = {}): Promise<string> {
  const { set = CLUSTER_PROGRAMS } = options;
  const folder = binariesFolder(set);
  const { programs = set.programs } = options;
  const missing = () => programs.filter((program) => !existsSync(join(folder, program)));
  if (missing().length === 0) return folder;

  const log = options.log ?? ((line) => process.stderr.write(`${line}\n`));
  const go = await requireGo();
  await mkdir(folder, { recursive: true });
  const release = await acquireLock(`${folder}.lock`, { log, doing: `builds ${set.programs.join(', ')}` });
  try {
    if (missing().length === 0) return folder;
    await removeUnfinished(folder);
    const started = Date.now();
    log(`Building ${missing().join(', ')} from Go modules into ${folder}`);
    if (set === CLUSTER_PROGRAMS)
      log('This happens once. All programs take about 10 minutes on 2 cores and 7 GB for Go’s own caches.');
    const work = await mkdtemp(join(folder, WORK_PREFIX));
    try {
      await writeFile(join(work, 'go.mod'), await moduleFile(go, work, set));
      for (const group of set.groups) {
        const names = missing().filter((program) => program in group.programs);
        if (names.length > 0) await buildGroup({ go, folder, work, group, names, log, started });
      }
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return folder;
  } finally {
    await release();
  }
}

/** What is left of builds that were interrupted; only the holder of the lock builds. */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(WORK_PREFIX)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

interface GroupBuild {
  go: string;
  folder: string;
  /** The folder of the main module. */
  work: string;
  group: ProgramGroup;
  /** The programs of the group to build. */
  names: readonly string[];
  log: Log;
  /** When the whole build started, milliseconds. */
  started: number;
}

async function buildGroup({ go, folder, work, group, names, log, started }: GroupBuild): Promise<void> {
  const seconds = (since: number) => `${Math.round((Date.now() - since) / 1000)} s`;
  if (group.source !== undefined) {
    await mkdir(join(work, group.name));
    await writeFile(join(work, group.name, 'main.go'), group.source);
  }
  for (const name of names) {
    const begun = Date.now();
    let downloads = 0;
    const still = setInterval(() => {
      const fetched = downloads === 0 ? '' : `, ${downloads} modules downloaded`;
      log(`  ${seconds(started).padStart(6)}  ${name}: still building${fetched}`);
    }, STILL_MILLISECONDS);
    const built = join(work, `${name}.built`);
    try {
      await runCommand(go, buildArguments(group, built, group.programs[name]!), {
        cwd: work,
        env: goEnvironment(),
        signalOnOurDeath: 'TERM',
        onErrorLine: (line) => {
          if (line.startsWith('go: downloading')) downloads += 1;
        },
      });
    } finally {
      clearInterval(still);
    }
    await rename(built, join(folder, name));
    log(`  ${seconds(started).padStart(6)}  ${name} (${seconds(begun)})`);
  }
}

/**
 * The go.mod of a throw-away main module that all programs of a set are built in: `go install` refuses modules whose
 * go.mod has replace directives (Kubernetes, etcd), and a main module of our own takes no notice of them. One for
 * all, so that they agree on the versions of what they share and it is compiled once.
 */
async function moduleFile(go: string, work: string, set: ProgramSet): Promise<string> {
  const lines = ['module enxame.dev/build', `go ${VERSIONS.go}`];
  for (const { module, staging } of set.groups) {
    if (module === undefined) continue;
    lines.push(`require ${module.path} ${module.version}`);
    if (staging !== true) continue;
    // The staging modules are released as v0.MINOR.PATCH of Kubernetes v1.MINOR.PATCH.
    const version = module.version.replace(/^v1\./, 'v0.');
    for (const path of await stagingModules(go, module, work))
      lines.push(`require ${path} ${version}`, `replace ${path} => ${path} ${version}`);
  }
  return `${lines.join('\n')}\n`;
}

async function stagingModules(go: string, module: GoModule, work: string): Promise<string[]> {
  const { stdout } = await runCommand(go, ['mod', 'download', '-json', `${module.path}@${module.version}`], {
    cwd: work,
    env: goEnvironment(),
  });
  const { GoMod: path } = JSON.parse(stdout) as { GoMod: string };
  const text = await readFile(path, 'utf8');
  const found = [...text.matchAll(/^\s*(k8s\.io\/[a-z0-9-]+) => \.\/staging\//gm)].map(([, name]) => name!);
  // The samples are not part of any program.
  return [...new Set(found)].filter((name) => !name.startsWith('k8s.io/sample-'));
}
