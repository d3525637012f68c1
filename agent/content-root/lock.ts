// One agent a content root. The lock is a listening socket below it: it is gone with its process, whatever way
// that ends, and works between Pods, which have process tables and networks of their own.
import { promises as fs } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { type Clock, sleep, systemCode } from '../../base/index.ts';
import { AgentError } from '../errors.ts';

const RETRY_MILLISECONDS = 200;

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** Whether somebody listens on a socket. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ECONNREFUSED: the socket of a process that is gone.
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(systemCode(error))));
  });
}

/** A lock that is held. */
export interface RootLock {
  release(): Promise<void>;
}

/**
 * Takes the lock; an agent that is about to end is waited for.
 * @throws AgentError RootInUse when another agent still has it after `patienceMilliseconds`.
 */
export async function lockRoot(
  path: string,
  options: { clock: Clock; patienceMilliseconds: number; signal?: AbortSignal },
): Promise<RootLock> {
  const { clock, patienceMilliseconds, signal } = options;
  const deadline = clock.now() + patienceMilliseconds;
  for (;;) {
    try {
      const server = await listen(path);
      return {
        release: () =>
          new Promise((resolve) => {
            server.close(() => resolve());
          }),
      };
    } catch (error) {
      if (systemCode(error) !== 'EADDRINUSE') throw error;
    }
    if (!(await isAlive(path))) {
      await fs.rm(path, { force: true });
      continue;
    }
    if (clock.now() >= deadline || signal?.aborted) {
      throw new AgentError(
        'RootInUse',
        `another agent uses this content root (it listens on ${path}); a node may run only one`,
      );
    }
    await sleep(clock, RETRY_MILLISECONDS, signal);
  }
}
