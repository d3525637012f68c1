// Sessions on loopback, and waiting for what they do. Invariant: what a test starts is closed by closeAll().
import type { Logger } from '../../../base/index.ts';
import type { Discovery, PeerAddress } from '../../../torrent/discovery/discovery.ts';
import { Session } from '../../../torrent/session/session.ts';
import type { SessionOptions, Torrent } from '../../../torrent/session/types.ts';
import { until } from '../../base/until.ts';

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

const sessions: Session[] = [];
const cleanups: (() => unknown)[] = [];

/** Closes every session and does every clean-up of the test. */
export async function closeAll(): Promise<void> {
  await Promise.all(sessions.splice(0).map((session) => session.close()));
  for (const clean of cleanups.splice(0).reverse()) await clean();
}

export function afterwards(clean: () => unknown): void {
  cleanups.push(clean);
}

/** A session that listens on loopback. */
export async function startSession(options: Partial<SessionOptions> = {}): Promise<Session> {
  const session = new Session({ logger: silent, listen: { host: '127.0.0.1' }, ...options });
  sessions.push(session);
  await session.start();
  return session;
}

/** Where a session of this test listens. */
export function addressOf(session: Session, host = '127.0.0.1'): PeerAddress {
  return { host, port: session.port };
}

/** True once the session's tick has passed so often. */
export function ticks(count: number): () => boolean {
  const end = performance.now() + count * 100;
  return () => performance.now() >= end;
}

/** Resolves when the torrent is complete; fails at once if its disk fails. */
export async function completion(torrent: Torrent, seconds = 30): Promise<void> {
  await until(
    `complete (${JSON.stringify(torrent.progress())})`,
    () => {
      if (torrent.error !== undefined) throw torrent.error;
      return torrent.complete;
    },
    seconds,
  );
}

/** A discovery that writes down what it is asked, and gives addresses when the test says so. */
export class FakeDiscovery implements Discovery {
  readonly asked: string[] = [];
  give: (addresses: readonly PeerAddress[]) => void = () => undefined;
  swarm: Parameters<Discovery['start']>[0] | undefined;

  start(swarm: Parameters<Discovery['start']>[0], onPeers: (addresses: PeerAddress[]) => void): void {
    this.asked.push('start');
    this.swarm = swarm;
    this.give = (addresses) => onPeers([...addresses]);
  }

  announce(event: 'completed'): void {
    this.asked.push(event);
  }

  needMore(): void {
    this.asked.push('needMore');
  }

  async stop(): Promise<void> {
    this.asked.push('stop');
  }
}
