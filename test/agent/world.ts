// A small cluster on loopback: agents, a real tracker, a publisher, and objects that every agent sees.

import type { ContentRevision, NodeRevision, Publication, Reservation } from '../../api/index.ts';
import { OPEN_LIST } from '../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker } from '../../tracker/tracker.ts';
import { until } from '../base/until.ts';
import { FakeCluster, reservationOf, revisionOf } from './fake-cluster.ts';
import {
  closeTestAgents,
  logsOfTestAgents,
  openTestAgent,
  reserveOn,
  type TestAgent,
  TestLogger,
  TestPublisher,
} from './harness.ts';

type AgentOptions = Parameters<typeof openTestAgent>[1];
type Files = Parameters<TestPublisher['publish']>[0];

export class World {
  readonly agents = new Map<string, TestAgent>();
  objects: ContentRevision[] = [];
  trackerAddress = '';
  #tracker: RunningTracker | undefined;

  /** Agents of these names; the tracker takes metainfo from the first of them. */
  static async open(names: readonly string[], options: AgentOptions = {}): Promise<World> {
    const world = new World();
    for (const name of names) await world.start(name, options);
    const [first] = world.agents.values();
    world.#tracker = await startTracker({
      torrents: OPEN_LIST,
      listen: { host: '127.0.0.1', port: 0 },
      holderPort: first?.agent.httpPort ?? 0,
      holderWaitMilliseconds: 2000,
      logger: new TestLogger(),
    });
    world.trackerAddress = `127.0.0.1:${world.#tracker.port}`;
    for (const agent of world.agents.values()) world.#tell(agent);
    return world;
  }

  /** Starts an agent, also a new one on the root and with the cluster of one that is gone. */
  async start(name: string, options: AgentOptions & { cluster?: FakeCluster } = {}): Promise<TestAgent> {
    const { cluster = new FakeCluster(name), ...rest } = options;
    // What an earlier agent wrote says nothing of this one.
    cluster.statuses = [];
    const agent = await openTestAgent(cluster, rest);
    this.agents.set(name, agent);
    this.#tell(agent);
    return agent;
  }

  async close(): Promise<void> {
    await closeTestAgents();
    await this.#tracker?.close();
  }

  agent(name: string): TestAgent {
    const agent = this.agents.get(name);
    if (agent === undefined) throw new Error(`no agent ${name}`);
    return agent;
  }

  /** Publishes files on a node. */
  async publish(name: string, files: Files, changes: Partial<Reservation> = {}): Promise<Publication> {
    const agent = this.agent(name);
    const reservation = reservationOf(changes);
    await reserveOn(agent, reservation);
    const { uid, attempt, sourceState } = reservation;
    await new TestPublisher(agent.url, { uid, attempt }).publish(files, sourceState);
    const published = () =>
      agent.agent.ingest
        .status()
        .find((entry) => entry.uid === uid && entry.attempt === attempt && entry.phase === 'Published');
    await until(logsOfTestAgents, () => published() !== undefined);
    return published()!;
  }

  /** Publishes files and makes the revision's object, which every agent sees. */
  async distribute(
    name: string,
    files: Files,
    {
      reservation = {},
      spec = {},
      metadata = {},
    }: {
      reservation?: Partial<Reservation>;
      spec?: Partial<ContentRevision['spec']>;
      metadata?: Partial<ContentRevision['metadata']>;
    } = {},
  ): Promise<ContentRevision> {
    const object = revisionOf(await this.publish(name, files, reservation), spec, metadata);
    this.see([...this.objects, object]);
    this.agent(name).cluster.reserve();
    this.agent(name).agent.clusterChanged();
    return object;
  }

  /** Lets every agent see these objects. */
  see(objects: ContentRevision[]): void {
    this.objects = objects;
    for (const agent of this.agents.values()) this.#tell(agent);
  }

  /** Replaces an object by one with another spec; returns that. */
  change(object: ContentRevision, spec: Partial<ContentRevision['spec']>): ContentRevision {
    const changed = { ...object, spec: { ...object.spec, ...spec } };
    this.see(this.objects.map((other) => (other === object ? changed : other)));
    return changed;
  }

  /** Every agent sees DELETED events of these objects. */
  delete(...objects: ContentRevision[]): void {
    this.see(this.objects.filter((object) => !objects.includes(object)));
    for (const { agent } of this.agents.values())
      for (const object of objects) agent.revisionGone(object, false);
  }

  /** What an agent says of a revision now; its NodeContent follows within a second or so. */
  status(name: string, { spec }: ContentRevision): NodeRevision | undefined {
    const revisions = this.agent(name).agent.engine.status();
    return revisions.find(({ uid, revision }) => uid === spec.distributionUID && revision === spec.revision);
  }

  /** Waits until a status says so of a revision, on all these nodes. */
  async untilStatus(
    names: readonly string[],
    object: ContentRevision,
    expected: Partial<NodeRevision>,
    seconds?: number,
  ): Promise<void> {
    const holds = (name: string) => {
      const status = this.status(name, object);
      return Object.entries(expected).every(([key, value]) => status?.[key as keyof NodeRevision] === value);
    };
    await until(logsOfTestAgents, () => names.every(holds), seconds);
  }

  #tell({ agent, cluster }: TestAgent): void {
    cluster.revisionObjects = this.objects;
    cluster.trackerNames = this.trackerAddress === '' ? [] : [this.trackerAddress];
    agent.clusterChanged();
  }
}
