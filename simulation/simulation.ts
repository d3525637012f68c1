// Runs the product's swarm core on a virtual network and says what came of it. Invariant: a result is a function
// of the options alone: no clock, no randomness and no I/O of the machine comes in.
import { POLICIES } from '../torrent/swarm/policy/policies.ts';
import type { PolicyName } from '../torrent/swarm/policy/policy.ts';
import { TICK_MILLISECONDS } from '../torrent/swarm/tunables.ts';
import { EventQueue } from './event-queue.ts';
import { EVENT, SimulatedLink, SimulatedNode, type Surroundings } from './node.ts';
import { seededRandom } from './random.ts';
import { fullMesh, nearRegular } from './topology.ts';

/** What to simulate. */
export interface SimulationOptions {
  /** Nodes that begin with nothing; one seed comes on top, as node 0. */
  leechers: number;
  policy: PolicyName;
  pieceCount: number;
  pieceLength: number;
  /** Blocks of the simulation; larger than 16 KiB makes it faster and coarser. */
  blockBytes?: number;
  /** Of every node, both ways. */
  linkBytesPerSecond: number;
  /** One way; default 0.5. */
  delayMilliseconds?: number;
  /** Neighbours of a node; default everybody. */
  degree?: number;
  /** Decides the graph, ties and phases. */
  seed: number;
  /** Node number → seconds after which it joins; the others are there at once. */
  joinSeconds?: ReadonlyMap<number, number>;
  /** Node number → seconds after which it vanishes. */
  leaveSeconds?: ReadonlyMap<number, number>;
  /** Virtual seconds after which it ends anyhow; default 100 times the content's time on one link. */
  limitSeconds?: number;
}

/** What came of it. */
export interface SimulationResult {
  /** Seconds until the last node that stayed was complete; infinite if one was not. */
  makespanSeconds: number;
  /** makespan ÷ (size ÷ rate): 1 is what nobody can beat. */
  makespanRatio: number;
  /** Seconds at which each leecher was complete, by number from 1; -1 = never. */
  completedSeconds: number[];
  /** Bytes that the first seed sent ÷ size. */
  seedCopies: number;
  /** Bytes that leechers received twice ÷ all they received. */
  duplicateShare: number;
  /** Requests for second copies ÷ blocks of all leechers. */
  endgameShare: number;
  /** Events that were handled. */
  events: number;
}

/** Runs a simulation to its end. */
export function simulate(options: SimulationOptions): SimulationResult {
  const random = seededRandom(options.seed);
  const queue = new EventQueue<SimulatedNode | SimulatedLink>();
  const totalBytes = options.pieceCount * options.pieceLength;
  const linkBytesPerMillisecond = options.linkBytesPerSecond / 1000;
  const idealSeconds = totalBytes / options.linkBytesPerSecond;
  let missing = options.leechers;
  const around: Surroundings = {
    queue,
    clock: { now: () => queue.time },
    random,
    policy: POLICIES[options.policy],
    pieceLength: options.pieceLength,
    totalBytes,
    blockBytes: options.blockBytes ?? 16 * 1024,
    delayMilliseconds: options.delayMilliseconds ?? 0.5,
    hashMilliseconds: 0.5,
    completed: (node) => {
      if (node.present) missing--;
    },
  };
  const nodes: SimulatedNode[] = [];
  for (let number = 0; number <= options.leechers; number++) {
    nodes.push(
      new SimulatedNode(number, number === 0, linkBytesPerMillisecond, linkBytesPerMillisecond, around),
    );
  }
  const pairs =
    options.degree === undefined ? fullMesh(nodes.length) : nearRegular(nodes.length, options.degree, random);
  for (const [a, b] of pairs) SimulatedLink.pair(nodes[a] as SimulatedNode, nodes[b] as SimulatedNode);
  for (const node of nodes) {
    queue.push((options.joinSeconds?.get(node.number) ?? 0) * 1000, node, EVENT.join);
    const leaves = options.leaveSeconds?.get(node.number);
    if (leaves !== undefined) queue.push(leaves * 1000, node, EVENT.leave);
  }

  const limit = (options.limitSeconds ?? 100 * idealSeconds) * 1000;
  let events = 0;
  while (missing > 0 && queue.next() && queue.time <= limit) {
    events++;
    const { target, kind } = queue;
    if (target instanceof SimulatedLink) {
      if (kind === EVENT.sent) target.node.sent(target);
      else target.receive(kind, queue.a, queue.b, queue.c, queue.extra);
      continue;
    }
    const node = target as SimulatedNode;
    switch (kind) {
      case EVENT.verified:
        if (node.present) node.swarm.pieceVerified(queue.a);
        break;
      case EVENT.flush:
        node.swarm.flushHaves();
        break;
      case EVENT.tick:
        if (!node.present) break;
        node.swarm.tick();
        queue.push(queue.time + TICK_MILLISECONDS, node, EVENT.tick);
        break;
      case EVENT.join:
        join(node, queue, random);
        break;
      case EVENT.leave:
        if (node.present && node.completedAt < 0) missing--;
        leave(node);
        break;
    }
  }
  return report(nodes, options, idealSeconds, totalBytes, events);
}

function join(
  node: SimulatedNode,
  queue: EventQueue<SimulatedNode | SimulatedLink>,
  random: () => number,
): void {
  node.present = true;
  queue.push(queue.time + random() * TICK_MILLISECONDS, node, EVENT.tick);
  // Dial, handshake: two round trips before the first message.
  const ready = queue.time + 4 * node.around.delayMilliseconds;
  for (const link of node.links) {
    if (!link.other.node.present || link.isClosed || link.other.isClosed) continue;
    queue.push(ready, link, EVENT.connect);
    queue.push(ready, link.other, EVENT.connect);
  }
}

function leave(node: SimulatedNode): void {
  node.present = false;
  for (const link of node.links) {
    if (link.neighbour?.connected) node.swarm.drop(link.neighbour, 'the node leaves');
    link.isClosed = true;
  }
}

function report(
  nodes: readonly SimulatedNode[],
  options: SimulationOptions,
  idealSeconds: number,
  totalBytes: number,
  events: number,
): SimulationResult {
  const leechers = nodes.slice(1);
  const stayed = leechers.filter(({ present }) => present);
  const last = Math.max(
    ...stayed.map(({ completedAt }) => (completedAt < 0 ? Number.POSITIVE_INFINITY : completedAt)),
  );
  let received = 0;
  let duplicate = 0;
  let endgame = 0;
  for (const { swarm } of leechers) {
    received += swarm.totals.downloadedBytes;
    duplicate += swarm.totals.duplicateBytes;
    endgame += swarm.totals.endgameRequests;
  }
  const blockBytes = options.blockBytes ?? 16 * 1024;
  return {
    makespanSeconds: last / 1000,
    makespanRatio: last / 1000 / idealSeconds,
    completedSeconds: leechers.map(({ completedAt }) => (completedAt < 0 ? -1 : completedAt / 1000)),
    seedCopies: (nodes[0] as SimulatedNode).sentBytes / totalBytes,
    duplicateShare: received === 0 ? 0 : duplicate / received,
    endgameShare: endgame / Math.max(1, (options.leechers * totalBytes) / blockBytes),
    events,
  };
}
