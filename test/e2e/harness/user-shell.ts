/**
 * A user's shell beside the cluster: kubectl, helm and npm of this checkout, and a registry that the nodes pull from.
 * It is on the control plane's host, because nothing outside of the cluster's networks reaches a node.
 */
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../../cluster/cluster.ts';
import { type CommandOutput, runCommand } from '../../cluster/command.ts';
import { ADDRESSES } from '../../cluster/layout.ts';
import { startRegistry } from '../../registry/registry.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** The name that the documentation gives to the registry of whoever reads it. */
export const REGISTRY = 'registry.example.com';

/** Commands that speak to the registry; that of the tests has no TLS. */
const SPEAKS_TO_REGISTRY = /^(?:npm run image -- .*--push |helm push |helm .*\boci:\/\/)/;

export class UserShell {
  readonly #cluster: Cluster;
  readonly #folder: string;
  readonly #endRegistry: () => Promise<void>;
  /** What was run and what it printed, as a terminal would show it. */
  readonly transcript: string[] = [];

  private constructor(cluster: Cluster, folder: string, endRegistry: () => Promise<void>) {
    this.#cluster = cluster;
    this.#folder = folder;
    this.#endRegistry = endRegistry;
  }

  /** Opens a shell, with an empty registry. */
  static async open(cluster: Cluster): Promise<UserShell> {
    const { layout } = cluster;
    const folder = join(layout.folder, 'user');
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'checkout'), { recursive: true });
    const endRegistry = await startRegistry({
      folder: join(folder, 'registry'),
      address: `${ADDRESSES.controlPlane}:80`,
      namespace: layout.controlPlane,
    });
    await cluster.pullFrom(REGISTRY, `http://${ADDRESSES.controlPlane}`);
    const hosts = `127.0.0.1 localhost\n${ADDRESSES.controlPlane} ${REGISTRY}\n`;
    await writeFile(join(folder, 'hosts'), hosts);
    return new UserShell(cluster, folder, endRegistry);
  }

  /**
   * Makes the checkout in which commands run: this one, with examples of its own.
   *
   * @param change what becomes of the text of an example
   */
  async checkOut(change: (text: string) => string): Promise<void> {
    const checkout = join(this.#folder, 'checkout');
    for (const name of await readdir(ROOT))
      if (name !== 'examples') await symlink(join(ROOT, name), join(checkout, name));
    const examples = join(checkout, 'examples');
    await cp(join(ROOT, 'examples'), examples, { recursive: true });
    for (const name of await readdir(examples)) {
      const path = join(examples, name);
      await writeFile(path, change(await readFile(path, 'utf8')));
    }
  }

  /** Runs one line, and returns what it printed. @throws {ClusterError} CommandFailed */
  async run(line: string, env: NodeJS.ProcessEnv = {}): Promise<CommandOutput> {
    const { layout, binaries } = this.#cluster;
    const command = SPEAKS_TO_REGISTRY.test(line) ? `${line} --plain-http` : line;
    const own = await this.#cluster.controlPlaneEnvironment();
    const script = `mount --bind "$1" /etc/hosts && cd "$2" && exec nsenter --net="$3" sh -euc "$4"`;
    const args = [
      ...['--mount', '--propagation', 'private', 'sh', '-euc', script, 'sh'],
      ...[join(this.#folder, 'hosts'), join(this.#folder, 'checkout')],
      ...[`/run/netns/${layout.controlPlane}`, command],
    ];
    this.transcript.push(`$ ${command}\n`);
    const output = await runCommand('unshare', args, {
      env: { ...own, PATH: `${binaries}:${own.PATH ?? ''}`, ...env },
    }).catch((error: CommandOutput) => {
      this.transcript.push(error.stdout, error.stderr);
      throw error;
    });
    this.transcript.push(output.stdout, output.stderr);
    return output;
  }

  async close(): Promise<void> {
    await this.#endRegistry();
  }
}

/** The commands in a section of a Markdown file: the lines of its `sh` blocks, in their order. */
export function commandsOf(markdown: string, title: string): string[] {
  const start = markdown.indexOf(`\n## ${title}\n`);
  if (start < 0) throw new Error(`there is no section '${title}'`);
  const end = markdown.indexOf('\n## ', start + 1);
  const section = markdown.slice(start, end < 0 ? undefined : end);
  const lines = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) => block!.split('\n'));
  return lines.filter((line) => line.trim() !== '' && !line.startsWith('#'));
}

/** The commands in the comment at the head of an example. */
export function commandsOfExample(yaml: string): string[] {
  return [...yaml.matchAll(/^# {3}(.+)$/gm)].map(([, command]) => command!);
}
