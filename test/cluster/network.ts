/**
 * The network of a cluster: a namespace for each host, all on one bridge in a namespace of its own. Nothing is
 * made outside of these namespaces, and no route leads out of them.
 */
import { runCommand } from './command.ts';
import { ADDRESSES, type ClusterLayout, type NodeLayout } from './layout.ts';

const ip = async (...args: string[]) => (await runCommand('ip', args)).stdout;

/** Names of the network namespaces that begin so. */
export async function namespacesOf(prefix: string): Promise<string[]> {
  const lines = (await ip('netns', 'list')).split('\n');
  return lines.map((line) => line.split(' ')[0]!).filter((name) => name.startsWith(prefix));
}

async function addHost(layout: ClusterLayout, namespace: string, port: string, address: string) {
  await ip('netns', 'add', namespace);
  await ip('-n', namespace, 'link', 'set', 'lo', 'up');
  // Made inside the fabric: the machine's own namespace never sees the link.
  await ip(...['-n', layout.fabric, 'link', 'add', port, 'type', 'veth', 'peer', 'eth0', 'netns', namespace]);
  await ip('-n', layout.fabric, 'link', 'set', port, 'master', 'br0', 'up');
  await ip('-n', namespace, 'addr', 'add', `${address}/${ADDRESSES.prefixLength}`, 'dev', 'eth0');
  await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
  await runCommand('nsenter', [
    ...[`--net=/run/netns/${namespace}`, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'],
  ]);
}

/** Makes all namespaces, links and routes. */
export async function makeNetwork(layout: ClusterLayout, nodes: readonly NodeLayout[]): Promise<void> {
  await ip('netns', 'add', layout.fabric);
  await ip('-n', layout.fabric, 'link', 'set', 'lo', 'up');
  await ip('-n', layout.fabric, 'link', 'add', 'br0', 'type', 'bridge');
  await ip('-n', layout.fabric, 'link', 'set', 'br0', 'up');
  await addHost(layout, layout.controlPlane, 'control', ADDRESSES.controlPlane);
  for (const node of nodes) await addHost(layout, node.namespace, node.port, node.address);
  const hosts = [layout.controlPlane, ...nodes.map(({ namespace }) => namespace)];
  for (const host of hosts)
    for (const { namespace, podRange, address } of nodes)
      if (namespace !== host) await ip('-n', host, 'route', 'add', podRange, 'via', address);
}

/** Removes a namespace, and with it its links. */
export async function removeNamespace(name: string): Promise<void> {
  await ip('netns', 'del', name);
}

/** Pulls the node's cable, or plugs it in again. */
export async function setCable(layout: ClusterLayout, node: NodeLayout, plugged: boolean): Promise<void> {
  await ip('-n', layout.fabric, 'link', 'set', node.port, plugged ? 'up' : 'down');
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
 * Gives a node's link a rate, both ways.
 *
 * @param rate as tc writes it: `100mbit`
 */
export async function shapeLink(layout: ClusterLayout, node: NodeLayout, rate: string): Promise<void> {
  for (const [namespace, device] of ends(layout, node))
    await runCommand('tc', [
      ...['-n', namespace, 'qdisc', 'replace', 'dev', device, 'root'],
      ...['tbf', 'rate', rate, 'burst', BURST, 'latency', QUEUE],
    ]);
}

/** Takes the rate away again; nothing happens to a link without one. */
export async function unshapeLink(layout: ClusterLayout, node: NodeLayout): Promise<void> {
  for (const [namespace, device] of ends(layout, node)) {
    const { stdout } = await runCommand('tc', ['-n', namespace, 'qdisc', 'show', 'dev', device]);
    if (stdout.includes('qdisc tbf'))
      await runCommand('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root']);
  }
}
