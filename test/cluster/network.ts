/**
 * The network of a cluster: a namespace for each host, all on one bridge in a namespace of its own. Nothing is
 * made outside of these namespaces, and no route leads out of them.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { ClusterError } from './errors.ts';
import { ADDRESSES, type ClusterLayout, type NodeLayout } from './layout.ts';

/** Where iproute2 keeps the names of network namespaces. */
const NAMESPACES = '/run/netns';

/** Runs lines of ip in one go; in a namespace, unless it is the machine's own. */
async function ip(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const args = namespace === undefined ? [] : ['-netns', namespace];
  // It must not go on making things while the next run removes what an interrupted one left.
  const input = `${lines.join('\n')}\n`;
  await runCommand('ip', [...args, '-batch', '-'], { input, signalOnOurDeath: 'KILL' });
}

/** Names of the network namespaces that begin so. */
export async function namespacesOf(prefix: string): Promise<string[]> {
  return (await readdir(NAMESPACES).catch(() => [])).filter((name) => name.startsWith(prefix));
}

/** A network namespace as the kernel knows it; two names of one are equal. */
async function identity(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

/** The processes in these namespaces. */
export async function processesIn(namespaces: readonly string[]): Promise<number[]> {
  const wanted = new Set(await Promise.all(namespaces.map((name) => identity(join(NAMESPACES, name)))));
  wanted.delete(undefined);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const where = await Promise.all(pids.map((pid) => identity(`/proc/${pid}/ns/net`)));
  return pids.filter((_, index) => wanted.has(where[index])).map(Number);
}

interface Host {
  readonly namespace: string;
  /** Its port on the bridge. */
  readonly port: string;
  readonly address: string;
}

/** Makes all namespaces, links and routes. */
export async function makeNetwork(layout: ClusterLayout, nodes: readonly NodeLayout[]): Promise<void> {
  const { fabric } = layout;
  const control = { namespace: layout.controlPlane, port: 'control', address: ADDRESSES.controlPlane };
  const hosts: Host[] = [control, ...nodes];
  await ip(
    undefined,
    [fabric, ...hosts.map(({ namespace }) => namespace)].map((name) => `netns add ${name}`),
  );
  // The links are made inside the fabric: the machine's own namespace never sees them.
  await ip(fabric, [
    'link set lo up',
    'link add br0 type bridge',
    'link set br0 up',
    ...hosts.flatMap(({ namespace, port }) => [
      `link add ${port} type veth peer eth0 netns ${namespace}`,
      `link set ${port} master br0 up`,
    ]),
  ]);
  const addHost = async ({ namespace, address }: Host) => {
    const others = nodes.filter((node) => node.namespace !== namespace);
    await ip(namespace, [
      'link set lo up',
      `address add ${address}/${ADDRESSES.prefixLength} dev eth0`,
      'link set eth0 up',
      ...others.map((node) => `route add ${node.podRange} via ${node.address}`),
    ]);
    const inside = `--net=${join(NAMESPACES, namespace)}`;
    await runCommand('nsenter', [inside, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  };
  await Promise.all(hosts.map(addHost));
}

/** Removes a namespace, and with it its links. */
export async function removeNamespace(name: string): Promise<void> {
  await ip(undefined, [`netns delete ${name}`]);
}

/** Pulls the node's cable, or plugs it in again. */
export async function setCable(layout: ClusterLayout, node: NodeLayout, plugged: boolean): Promise<void> {
  await ip(layout.fabric, [`link set ${node.port} ${plugged ? 'up' : 'down'}`]);
}

/** Bytes that may pass at once before a link's rate holds. */
const BURST = '256kb';
/** How long a packet may wait for its turn before it is dropped. */
const QUEUE = '100ms';

/** Both ends of a node's cable: what it sends, and what is sent to it. */
const ends = (layout: ClusterLayout, node: NodeLayout) =>
  [
    [node.namespace, 'eth0'],
    [layout.fabric, node.port],
  ] as const;

/**
 * Gives a node's link a rate both ways, and on request a delay each way. A delay needs a kernel with netem.
 *
 * @param rate as tc writes it: `100mbit`
 * @param delay as tc writes it: `20ms`
 * @throws {ClusterError} CommandFailed if tc does not take them
 */
export async function shapeLink(
  layout: ClusterLayout,
  node: NodeLayout,
  rate: string,
  delay?: string,
): Promise<void> {
  const bucket = ['tbf', 'rate', rate, 'burst', BURST, 'latency', QUEUE];
  const queue = delay === undefined ? bucket : ['netem', 'delay', delay, 'rate', rate];
  await unshapeLink(layout, node);
  for (const [namespace, device] of ends(layout, node))
    await runCommand('tc', ['-n', namespace, 'qdisc', 'replace', 'dev', device, 'root', ...queue]).catch(
      (error: ClusterError) => {
        if (!error.stderr.includes('qdisc kind is unknown')) throw error;
        const what = `this machine's kernel has no ${queue[0]}`;
        const advice = delay === undefined ? '' : '; a rate without a delay does not need it';
        throw new ClusterError('CommandFailed', `${what}${advice}`, { cause: error });
      },
    );
}

/** Takes rate and delay away again; nothing happens to a link without. */
export async function unshapeLink(layout: ClusterLayout, node: NodeLayout): Promise<void> {
  for (const [namespace, device] of ends(layout, node)) {
    const { stdout } = await runCommand('tc', ['-n', namespace, 'qdisc', 'show', 'dev', device]);
    if (/qdisc (tbf|netem)/.test(stdout))
      await runCommand('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root']);
  }
}
