/** The programs that Enxame is measured against. */
import { runCommand } from '../test/cluster/command.ts';
import { PYTHON } from './clients/libtorrent.ts';

interface Peer {
  readonly package: string;
  /** A command that succeeds, or fails with a usage text, if the program is there; it prints the version. */
  readonly probe: readonly [string, ...string[]];
}

const PEERS: readonly Peer[] = [
  { package: 'python3-libtorrent', probe: [PYTHON, '-c', 'import libtorrent; print(libtorrent.version)'] },
  { package: 'aria2', probe: ['aria2c', '--version'] },
  { package: 'transmission-cli', probe: ['sh', '-c', 'transmission-cli --version 2>&1'] },
  { package: 'mktorrent', probe: ['mktorrent', '-h'] },
  { package: 'opentracker', probe: ['sh', '-c', 'command -v opentracker'] },
  { package: 'iproute2', probe: ['tc', '-V'] },
];

/** What a peer says of its version; undefined if it is not there. */
async function versionOf({ package: name, probe: [program, ...args] }: Peer): Promise<string | undefined> {
  try {
    const { stdout } = await runCommand(program, args);
    return `${name} ${stdout.match(/\d+(\.\d+)+/)?.[0] ?? ''}`.trim();
  } catch {
    return undefined;
  }
}

/**
 * Makes sure that the peers are there; root on Debian or Ubuntu gets what is missing by apt-get.
 * @returns their versions
 * @throws Error naming what is missing
 */
export async function requirePeers(log: (line: string) => void): Promise<string[]> {
  const missing: string[] = [];
  for (const peer of PEERS) if ((await versionOf(peer)) === undefined) missing.push(peer.package);
  if (missing.length > 0) {
    if (process.getuid?.() !== 0)
      throw new Error(
        `${missing.join(', ')} missing: install these packages, or run this as root on Debian or Ubuntu`,
      );
    log(`Installing ${missing.join(' ')} (apt-get install)`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await runCommand('apt-get', ['update', '-qq'], { env });
    await runCommand('apt-get', ['install', '-qq', '--no-install-recommends', ...missing], { env });
  }
  const versions: string[] = [];
  for (const peer of PEERS) {
    const version = await versionOf(peer);
    if (version === undefined) throw new Error(`${peer.package} is installed and does not run`);
    versions.push(version);
  }
  return versions;
}
