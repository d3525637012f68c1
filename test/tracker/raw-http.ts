// HTTP by hand, for requests that no HTTP client would send.
import { connect } from 'node:net';

/** Turns of the event loop after which a server in this process has accepted, and read what was written. */
const TURNS = 4;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * Sends bytes and reads until the server closes, or says nothing more for a while after it answered.
 *
 * @param bytes one char a byte; or several parts, which a server in this process reads one by one
 */
export function exchange(
  port: number,
  bytes: string | readonly Buffer[],
  quietMilliseconds = 150,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    let quiet: NodeJS.Timeout | undefined;
    const done = () => {
      clearTimeout(quiet);
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      clearTimeout(quiet);
      quiet = setTimeout(done, quietMilliseconds);
    });
    socket.on('close', done);
    socket.on('error', (error: NodeJS.ErrnoException) =>
      // The server may close while we still write: what it said before counts.
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? done() : reject(error),
    );
    socket.setNoDelay(true);
    const parts = typeof bytes === 'string' ? [Buffer.from(bytes, 'latin1')] : [...bytes];
    const next = () => {
      const part = parts.shift();
      if (part !== undefined && !socket.destroyed) socket.write(part, () => void turns(TURNS).then(next));
    };
    socket.once('connect', () => void turns(TURNS).then(next));
  });
}

/** The statuses of all answers in what a server said. */
export function statuses(said: string): number[] {
  return [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}
