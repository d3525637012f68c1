/**
 * The Go that builds the programs. Any Go from 1.21 on will do: it fetches the toolchain that a go.mod asks
 * for by itself (https://go.dev/doc/toolchain).
 */
import { existsSync } from 'node:fs';
import { runCommand } from './command.ts';
import { ClusterError } from './errors.ts';

/** Where Go's own archive is unpacked by custom; a root shell often has no PATH there. */
const USUAL_PLACES = ['/usr/local/go/bin/go', '/usr/lib/go/bin/go'];

/** What to tell a person who has no Go that will do. */
export const HOW_TO_GET_GO =
  'Go 1.21 or newer (it fetches the toolchain it needs by itself): unpack an archive of https://go.dev/dl/ to ' +
  '/usr/local, or install the package golang-go where it is new enough (Debian 13, Ubuntu 24.04; not Debian 12)';

/** What is wrong with Go on this machine, or its path. */
export type GoLookup = { path: string; problem?: undefined } | { path?: undefined; problem: string };

/** Finds a Go that will do. */
export async function findGo(places: readonly string[] = ['go', ...USUAL_PLACES]): Promise<GoLookup> {
  let tooOld: string | undefined;
  for (const place of places) {
    if (place.startsWith('/') && !existsSync(place)) continue;
    const version = await goVersion(place);
    if (version === undefined) continue;
    if (newEnough(version)) return { path: place };
    tooOld ??= `${place} is Go ${version}`;
  }
  return { problem: tooOld === undefined ? 'there is no Go' : `${tooOld}, which is too old` };
}

/**
 * The Go that will do.
 *
 * @throws {ClusterError} PrerequisiteMissing, with how to get one
 */
export async function requireGo(): Promise<string> {
  const go = await findGo();
  if (go.path !== undefined) return go.path;
  throw new ClusterError(
    'PrerequisiteMissing',
    `To build the cluster’s programs it takes ${HOW_TO_GET_GO}; here ${go.problem}`,
  );
}

/**
 * The environment for `go`: that of the user, less what would build something else. Go takes an empty variable
 * for none and then asks the user's own settings, so all of these say something.
 */
export function goEnvironment(): NodeJS.ProcessEnv {
  const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', ia32: '386' };
  return {
    ...process.env,
    CGO_ENABLED: '0',
    GOTOOLCHAIN: 'auto',
    // go.sum and the versions of all that is needed are found while building, as for `go install`.
    GOFLAGS: '-mod=mod',
    GOWORK: 'off',
    GO111MODULE: 'on',
    GOOS: process.platform,
    GOARCH: architectures[process.arch] ?? process.arch,
  };
}

async function goVersion(program: string): Promise<string | undefined> {
  try {
    const env = { ...process.env, GOTOOLCHAIN: 'local' };
    const { stdout } = await runCommand(program, ['version'], { env });
    return /\bgo(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

/** Whether a version like 1.21 or 1.26.8 can fetch newer toolchains. */
export function newEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 1 || (major === 1 && minor >= 21);
}
