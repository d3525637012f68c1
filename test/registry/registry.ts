/**
 * A real registry (distribution) for tests: over plain HTTP, with its images in a folder, and with accounts where asked
 * for.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { ensureBinaries } from '../cluster/binaries.ts';
import { REGISTRY_PROGRAMS } from '../cluster/go-programs.ts';
import { ServerProcess } from '../cluster/server-process.ts';

const START_SECONDS = 30;
const POLL_MILLISECONDS = 50;

/** The account that a registry with accounts knows. */
export const ACCOUNT = { user: 'enxame', password: 'a secret' };
/** The same as htpasswd writes it (bcrypt). */
const HTPASSWD = 'enxame:$2b$04$mFDXK/kpuEHruZTTDTze9uFHS/KN2JLn6kltQdWmMPyXXzCUpqJrG\n';

/** How a registry is started. */
export interface RegistryOptions {
  /** For its images, its configuration and its log. */
  readonly folder: string;
  /** HOST:PORT that it listens on. */
  readonly address: string;
  /** Whether it asks who wants something. */
  readonly hasAccounts?: boolean;
  /** A network namespace to run in, as `ip netns` names it; that of this process by default. */
  readonly namespace?: string;
}

/** Starts a registry and returns when it listens. The function that is returned ends it. */
export async function startRegistry(options: RegistryOptions): Promise<() => Promise<void>> {
  const { folder, address, hasAccounts = false, namespace } = options;
  const binaries = await ensureBinaries({ set: REGISTRY_PROGRAMS });
  await mkdir(folder, { recursive: true });
  const [configuration, accounts, logFile] = ['registry.yaml', 'htpasswd', 'registry.log'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  await writeFile(accounts, HTPASSWD);
  await writeFile(
    configuration,
    stringify({
      version: 0.1,
      log: { level: 'info' },
      storage: { filesystem: { rootdirectory: join(folder, 'images') } },
      http: { addr: address },
      ...(hasAccounts ? { auth: { htpasswd: { realm: 'images', path: accounts } } } : {}),
    }),
  );
  const program = join(binaries, 'registry');
  const args = ['serve', configuration];
  const server = new ServerProcess(
    namespace === undefined
      ? { program, args, logFile }
      : { program: 'nsenter', args: [`--net=/run/netns/${namespace}`, program, ...args], logFile },
  );
  server.start();
  for (const end = Date.now() + START_SECONDS * 1000; ; ) {
    if ((await readFile(logFile, 'utf8').catch(() => '')).includes('listening on')) break;
    if (!server.running) throw await server.failure('ended by itself');
    if (Date.now() > end) throw await server.failure(`does not listen after ${START_SECONDS} s`);
    await delay(POLL_MILLISECONDS);
  }
  return () => server.stop('SIGKILL');
}
