// Runs the product's swarm core on a virtual network and says what came of it. Invariant: a result is a function
// of the options alone: no clock, no randomness and no I/O of the machine comes in.
import { POLICIES } from '../torrent/swarm/policy/policies.ts';
import type { PolicyName } from '../torrent/swarm/policy/policy.ts';
import { TICK_MILLISECONDS } from '../torrent/swarm/tunables.ts';
import { EventQueue } from './event-queue.ts';
import { EVENT, SimulatedLink, SimulatedNode, type Surroundings } from './node.ts';
import { seededRandom } from './random.ts';
import { Timeline, type TimelinePoint } from './timeline.ts';
import { fullMesh, nearRegular } from './topology.ts';

/** Real time of some tens of milliseconds. */
const EVENTS_PER_STEP = 20_000;

/** What to simulate. */
export interface SimulationOptions {
  /** Nodes that begin with nothing; one seed comes on top, as node 0. */
  leechers: number;
  policy: PolicyName;
  pieceCount: number;
  pieceLength: number;
  /** Blocks of the simulation; larger than 16 KiB makes it faster and coarser. */
  blockBytes?: number;
  /** Of every node, both ways … */
  linkBytesPerSecond: number;
  /** … unless its uplink is another. */
  upBytesPerSecond?: number;
  /** One way; default 0.5. */
  delayMilliseconds?: number;
  /** A link's delay may be longer by this; each link draws its own; default 0. */
  delaySpreadMilliseconds?: number;
  /** Neighbours of a node; default everybody. */
  degree?: number;
  /** Who is connected with whom, by number, instead of a graph of `degree`. */
  pairs?: readonly (readonly [number, number])[];
  /** Zones that nodes are dealt out to by number; default 1. */
  zones?: number;
  /** What all nodes of a zone can send to others together; default without bound. */
  zoneBytesPerSecond?: number;
  /** Decides the graph, ties and phases. */
  seed: number;
  /** Node number → seconds after which it joins; the others are there at once. */
  joinSeconds?: ReadonlyMap<number, number>;
  /** Node number → seconds after which it vanishes. */
  leaveSeconds?: ReadonlyMap<number, number>;
  /** Share of the leechers that vanish at a random moment of the ideal time; default 0. */
  churnShare?: number;
  /** Share of the leechers that join late, spread over `lateSeconds` (default the ideal time); default 0. */
  lateShare?: number;
  lateSeconds?: number;
  /** The seed vanishes as soon as every piece is held by somebody else too. */
  seedLeavesOnceOut?: boolean;
  /** Virtual seconds after which it ends anyhow; default 100 times the content's time on the slower way of a link. */
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
  /** Bytes of blocks that were sent, and those of them that went from one zone to another. */
  sentBytes: number;
  crossZoneBytes: number;
  /** Requests for second copies ÷ blocks of all leechers. */
  endgameShare: number;
  /** Leechers that left, and those that stayed and did not complete. */
  left: number;
  incomplete: number;
  /** How nodes and pieces stood from time to time. */
  timeline: TimelinePoint[];
  /** Events that were handled. */
  events: number;
}

/** Runs a simulation to its end. */
export function simulate(options: SimulationOptions): SimulationResult {
  const steps = simulationSteps(options);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** How far a simulation is. */
export interface SimulationProgress {
  /** Virtual time. */
  readonly seconds: number;
  /** Nodes that are to complete and have not. */
  readonly missing: number;
}

/** The same in steps of some tens of milliseconds of real time, for whoever has something else to do in between. */
export function* simulationSteps(
  options: SimulationOptions,
): Generator<SimulationProgress, SimulationResult, undefined> {
  const random = seededRandom(options.seed);
  const queue = new EventQueue<SimulatedNode | SimulatedLink>(bucketMilliseconds(options));
  const totalBytes = options.pieceCount * options.pieceLength;
  const linkBytesPerMillisecond = options.linkBytesPerSecond / 1000;
  const idealSeconds = totalBytes / options.linkBytesPerSecond;
  let missing = options.leechers;
  const timeline = new Timeline(options.pieceCount, idealSeconds);
  const around: Surroundings = {
    queue,
    clock: { monotonic: () => queue.time },
    random,
    policy: POLICIES[options.policy],
    pieceLength: options.pieceLength,
    totalBytes,
    blockBytes: options.blockBytes ?? 16 * 1024,
    delayMilliseconds: options.delayMilliseconds ?? 0.5,
    delaySpreadMilliseconds: options.delaySpreadMilliseconds ?? 0,
    hashMilliseconds: 0.5,
    zones: options.zones ?? 1,
    zoneUplink: (options.zoneBytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000,
    zoneUplinkFreeAt: new Float64Array(options.zones ?? 1),
    completed: (node) => {
      if (!node.present) return;
      missing--;
      timeline.completed();
    },
  };
  const uplink = (options.upBytesPerSecond ?? options.linkBytesPerSecond) / 1000;
  const nodes: SimulatedNode[] = [];
  for (let number = 0; number <= options.leechers; number++) {
    nodes.push(new SimulatedNode(number, number === 0, uplink, linkBytesPerMillisecond, around));
  }
  for (const [a, b] of pairsOf(options, random))
    SimulatedLink.pair(nodes[a] as SimulatedNode, nodes[b] as SimulatedNode);
  for (const node of nodes) {
    const { joins, leaves } = fate(node.number, options, idealSeconds, random);
    queue.push(joins * 1000, node, EVENT.join);
    if (leaves !== undefined) queue.push(leaves * 1000, node, EVENT.leave);
  }

  queue.push(0, nodes[0] as SimulatedNode, EVENT.sample);
  const slowest = Math.min(
    options.linkBytesPerSecond,
    options.upBytesPerSecond ?? options.linkBytesPerSecond,
  );
  const limit = (options.limitSeconds ?? (100 * totalBytes) / slowest) * 1000;
  let events = 0;
  while (missing > 0 && queue.next() && queue.time <= limit) {
    events++;
    if (events % EVENTS_PER_STEP === 0) yield { seconds: queue.time / 1000, missing };
    const { target, kind } = queue;
    if (target instanceof SimulatedLink) {
      if (kind === EVENT.sent) target.node.sent(target);
      else if (kind === EVENT.crossed) target.arrive(queue.a, queue.b, queue.c);
      else target.receive(kind, queue.a, queue.b, queue.c, queue.extra);
      continue;
    }
    const node = target as SimulatedNode;
    switch (kind) {
      case EVENT.verified:
        if (!node.present) break;
        timeline.got(queue.a);
        node.swarm.pieceVerified(queue.a);
        if (options.seedLeavesOnceOut && timeline.isOut && nodes[0]?.present) {
          leave(nodes[0], timeline);
        }
        break;
      case EVENT.spread:
        if (node.present) node.spread(queue.extra as readonly number[]);
        break;
      case EVENT.sample:
        timeline.sample(queue.time / 1000);
        queue.push(queue.time + timeline.stepSeconds * 1000, node, EVENT.sample);
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
        timeline.joined(node.swarm.held, node.number === 0);
        break;
      case EVENT.leave:
        if (node.present && node.completedAt < 0) missing--;
        leave(node, timeline);
        break;
    }
  }
  timeline.sample(queue.time / 1000);
  return report(nodes, options, idealSeconds, totalBytes, timeline.points, events);
}

/** Some four events a block and node; ticks are to lie within the queue's reach. */
function bucketMilliseconds({
  leechers,
  linkBytesPerSecond,
  blockBytes = 16 * 1024,
}: SimulationOptions): number {
  const blockMilliseconds = (1000 * blockBytes) / linkBytesPerSecond;
  return Math.max(TICK_MILLISECONDS / 50_000, (2 * blockMilliseconds) / leechers);
}

function pairsOf(
  { leechers, degree, pairs }: SimulationOptions,
  random: () => number,
): readonly (readonly [number, number])[] {
  if (pairs !== undefined) return pairs;
  return degree === undefined ? fullMesh(leechers + 1) : nearRegular(leechers + 1, degree, random);
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

/** When a node comes and goes, in seconds. */
function fate(
  number: number,
  options: SimulationOptions,
  idealSeconds: number,
  random: () => number,
): { joins: number; leaves: number | undefined } {
  const { churnShare = 0, lateShare = 0, lateSeconds = idealSeconds, leechers } = options;
  let joins = options.joinSeconds?.get(number) ?? 0;
  let leaves = options.leaveSeconds?.get(number);
  // Numbers say nothing about the graph, so that the first may vanish and the last be late.
  if (number > 0 && number <= Math.round(churnShare * leechers)) leaves ??= random() * idealSeconds;
  if (number > leechers - Math.round(lateShare * leechers)) joins ||= random() * lateSeconds;
  return { joins, leaves };
}

function leave(node: SimulatedNode, timeline: Timeline): void {
  if (!node.present) return;
  timeline.left(node.swarm.held, node.number !== 0 && node.completedAt >= 0, node.number === 0);
  node.present = false;
  for (const link of node.links) {
    if (link.peer?.connected) node.swarm.drop(link.peer, 'the node leaves');
    link.isClosed = true;
  }
}

function report(
  nodes: readonly SimulatedNode[],
  options: SimulationOptions,
  idealSeconds: number,
  totalBytes: number,
  timeline: TimelinePoint[],
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
    sentBytes: nodes.reduce((sum, node) => sum + node.sentBytes, 0),
    crossZoneBytes: nodes.reduce((sum, node) => sum + node.crossZoneBytes, 0),
    endgameShare: endgame / Math.max(1, (options.leechers * totalBytes) / blockBytes),
    left: leechers.length - stayed.length,
    incomplete: stayed.filter(({ completedAt }) => completedAt < 0).length,
    timeline,
    events,
  };
}
