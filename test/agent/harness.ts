// What tests of the agent share: folders of their own, waiting for conditions, a quiet logger, a publisher.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningAgent, startAgent } from '../../agent/agent.ts';
import { ingestPath, type PlanRequest, type Reservation } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { until } from '../base/until.ts';
import { type FakeCluster, SOURCE_STATE, UID } from './fake-cluster.ts';

/** Collects lines, so that a failing test can show them. */
export class TestLogger implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(fields: object, message: string): void {
    this.#add('info', fields, message);
  }
  warn(fields: object, message: string): void {
    this.#add('warn', fields, message);
  }
  error(fields: object, message: string): void {
    this.#add('error', fields, message);
  }
  #add(level: string, fields: object, message: string): void {
    const err = (fields as { err?: Error }).err;
    this.lines.push(
      `${Math.round(performance.now())} ${level} ${message} ${JSON.stringify(fields)} ${err?.stack ?? ''}`,
    );
  }
}

/** A folder that is removed by `cleanUp`. */
const folders: string[] = [];
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-agent-'));
  folders.push(folder);
  return folder;
}
export async function removeTemporaryFolders(): Promise<void> {
  for (const folder of folders.splice(0)) {
    await openAll(folder);
    await rm(folder, { recursive: true, force: true });
  }
}
/** Held folders are closed; whoever is not root has to open them before they can be removed. */
async function openAll(folder: string): Promise<void> {
  const { chmod, readdir } = await import('node:fs/promises');
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await openAll(join(folder, entry.name));
}

export interface TestAgent {
  agent: RunningAgent;
  cluster: FakeCluster;
  logger: TestLogger;
  root: string;
  url: string;
}

/** An agent on loopback with ports of its own. */
export async function runTestAgent(
  cluster: FakeCluster,
  options: { root?: string; logger?: TestLogger } & Partial<Parameters<typeof startAgent>[0]> = {},
): Promise<TestAgent> {
  const { root = await temporaryFolder(), logger = new TestLogger(), ...settings } = options;
  const agent = await startAgent(
    {
      nodeName: cluster.nodeName,
      podUID: undefined,
      address: undefined,
      namespace: 'enxame-system',
      contentRoot: root,
      hostContentRoot: '/var/lib/enxame',
      version: 'test',
      peerPort: 0,
      httpPort: 0,
      listenHost: '127.0.0.1',
      ...settings,
    },
    cluster,
    { logger },
  );
  return { agent, cluster, logger, root, url: `http://127.0.0.1:${agent.httpPort}` };
}

const openAgents = new Set<TestAgent>();

/** An agent that `closeTestAgents` closes, unless the test did. */
export async function openTestAgent(
  cluster: FakeCluster,
  options: Parameters<typeof runTestAgent>[1] = {},
): Promise<TestAgent> {
  const opened = await runTestAgent(cluster, options);
  const { close } = opened.agent;
  openAgents.add(opened);
  opened.agent.close = () => {
    openAgents.delete(opened);
    return close();
  };
  return opened;
}

/** Closes the agents of `openTestAgent` and removes their folders. */
export async function closeTestAgents(): Promise<void> {
  await Promise.all([...openAgents].map(({ agent }) => agent.close()));
  await removeTemporaryFolders();
}

/** Log lines and last status of the agents that are open: for what a failing test says. */
export function logsOfTestAgents(): string {
  const text = ({ cluster, logger }: TestAgent) =>
    `${cluster.nodeName}\n${logger.lines.join('\n')}\n${JSON.stringify(cluster.status, null, 1)}`;
  return [...openAgents].map(text).join('\n\n');
}

/** Writes a reservation and waits until the agent follows it. */
export async function reserveOn({ agent, cluster }: TestAgent, reservation: Reservation): Promise<void> {
  cluster.reserve(reservation);
  agent.clusterChanged();
  await until('the agent follows the reservation', () => {
    try {
      return agent.ingest.publication(reservation.uid).reservation === reservation;
    } catch {
      return false;
    }
  });
}

/** Has the agent look at everything, and waits until it has acted on it. */
export async function looked({ agent, cluster }: TestAgent): Promise<void> {
  const before = cluster.looks;
  agent.clusterChanged();
  await until('the agent has looked', () => cluster.looks > before);
  await agent.engine.settled();
}

/** The publisher's side of the protocol, one call at a time. */
export class TestPublisher {
  readonly #url: string;
  readonly uid: string;
  attempt: number;
  token: string;

  constructor(url: string, { uid = UID, attempt = 1, token = 'good' } = {}) {
    this.#url = url;
    this.uid = uid;
    this.attempt = attempt;
    this.token = token;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Answer }> {
    const isBytes = body instanceof Uint8Array;
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined
          ? {}
          : { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }),
      },
      ...(body === undefined ? {} : { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer };
  }

  status() {
    return this.call('GET', ingestPath.status(this.uid, this.attempt));
  }
  plan(files: Partial<PlanRequest['files'][number]>[], sourceState: string = SOURCE_STATE) {
    const whole = files.map((file) => ({
      path: 'file',
      executable: false,
      sizeBytes: null,
      sha256: null,
      validator: 'v1',
      ...file,
    }));
    return this.call('PUT', ingestPath.plan(this.uid, this.attempt), { sourceState, files: whole });
  }
  put(index: number, offset: number, bytes: Uint8Array) {
    return this.call('PUT', `${ingestPath.file(this.uid, this.attempt, index)}?offset=${offset}`, bytes);
  }
  finishFile(index: number, sizeBytes: number) {
    return this.call('POST', ingestPath.fileFinish(this.uid, this.attempt, index), { sizeBytes });
  }
  finish() {
    return this.call('POST', ingestPath.finish(this.uid, this.attempt));
  }
  fail(reason: string, message: string) {
    return this.call('POST', ingestPath.fail(this.uid, this.attempt), { reason, message });
  }

  /** Publishes files whole. */
  async publish(
    files: readonly { path: string; bytes: Uint8Array; executable?: boolean }[],
    sourceState: string = SOURCE_STATE,
  ): Promise<void> {
    const sorted = [...files].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
    const expectGood = (answer: { status: number; body: Answer }) => {
      if (answer.status > 299) throw new Error(JSON.stringify(answer));
    };
    expectGood(
      await this.plan(
        sorted.map(({ path, bytes, executable = false }) => ({ path, executable, sizeBytes: bytes.length })),
        sourceState,
      ),
    );
    for (const [index, { bytes }] of sorted.entries()) {
      if (bytes.length > 0) expectGood(await this.put(index, 0, bytes));
      expectGood(await this.finishFile(index, bytes.length));
    }
    expectGood(await this.finish());
    await until('it is published', async () => {
      const { body } = await this.status();
      if (body.phase === 'Failed') throw new Error(JSON.stringify(body));
      return body.phase === 'Published';
    });
  }
}

/** What the agent answers, as far as tests look at it. */
export interface Answer {
  code?: string;
  message?: string;
  offset?: number;
  phase?: string;
  reason?: string;
  digest?: string;
  sha256?: string;
  files?: { offset: number; complete: boolean }[];
}
