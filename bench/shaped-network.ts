/**
 * Hosts with slow links on one machine: a bridge in a network namespace, each host in a namespace of its own, and a
 * token bucket on both ends of each link. Needs root. Invariant: what is made here has names of this process, and
 * is gone after close(); what a process left behind that is no more goes at the next start.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const PREFIX = 'enxame-bench-';
/** For tests of networks (RFC 2544); nothing of it leaves the namespaces. */
const NETWORK = '198.18.77';

/** Megabits per second of each link, both ways, and the bucket that makes it so. */
export const LINK_MEGABITS = 100;
const SHAPE = ['tbf', 'rate', `${LINK_MEGABITS}mbit`, 'burst', '128kb', 'latency', '50ms'];

/** A host. */
export interface Host {
  readonly namespace: string;
  /** Its address. */
  readonly host: string;
}

/** A network of hosts. */
export interface ShapedNetwork {
  readonly hosts: readonly Host[];
  close(): void;
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** @throws Error without root, or if the system refuses */
export function makeNetwork(hostCount: number): ShapedNetwork {
  if (process.getuid?.() !== 0)
    throw new Error('network namespaces need root; run it as root, or leave this bench out');
  removeLeftOvers();
  const bridge = `${PREFIX}${process.pid}-bridge`;
  const hosts = Array.from({ length: hostCount }, (_, index) => ({
    namespace: `${PREFIX}${process.pid}-${index}`,
    host: `${NETWORK}.${index + 1}`,
  }));
  const close = () => {
    for (const name of [bridge, ...hosts.map(({ namespace }) => namespace)]) remove(name);
    process.off('exit', close);
  };
  process.on('exit', close);
  try {
    run('ip', 'netns', 'add', bridge);
    run('ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', '-n', bridge, 'link', 'set', 'br0', 'up');
    for (const [index, { namespace, host }] of hosts.entries()) {
      const port = `port${index}`;
      run('ip', 'netns', 'add', namespace);
      run(
        'ip',
        '-n',
        bridge,
        'link',
        'add',
        port,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        namespace,
      );
      run('ip', '-n', bridge, 'link', 'set', port, 'master', 'br0', 'up');
      run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
      run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
      run('ip', '-n', namespace, 'address', 'add', `${host}/24`, 'dev', 'eth0');
      run('tc', '-n', namespace, 'qdisc', 'add', 'dev', 'eth0', 'root', ...SHAPE);
      run('tc', '-n', bridge, 'qdisc', 'add', 'dev', port, 'root', ...SHAPE);
    }
    return { hosts, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Bytes that a host has sent so far, headers included. */
export function sentBytes({ namespace }: Host): number {
  const text = run('ip', 'netns', 'exec', namespace, 'cat', '/proc/net/dev');
  return Number(/eth0:\s*(?:\d+\s+){8}(\d+)/.exec(text)?.[1]);
}

function remove(namespace: string): void {
  if (existsSync(`/run/netns/${namespace}`)) run('ip', 'netns', 'delete', namespace);
}

function removeLeftOvers(): void {
  for (const line of run('ip', 'netns', 'list').split('\n')) {
    const name = line.split(' ')[0] ?? '';
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(pid)) remove(name);
  }
}

function isAlive(pid: string): boolean {
  return existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
}
