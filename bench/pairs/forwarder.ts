/**
 * A forwarder of TCP connections that delays what it passes on, for kernels without netem, and sees when the seed
 * unchokes. Invariant: bytes keep their order and each is delayed by the same time.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** How a handshake begins. aria2 has an encrypted one before it, and goes on in clear. */
const HANDSHAKE = Buffer.from('\x13BitTorrent protocol', 'latin1');
const HANDSHAKE_BYTES = 68;
const UNCHOKE = 1;

/** Where connections end. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** Which end serves: what it says is looked at. */
  readonly seed: 'dialler' | 'target';
  /** Of each direction. */
  readonly delayMilliseconds: number;
}

/** A forwarder that listens on loopback. */
export interface Forwarder {
  readonly port: number;
  /** When the first unchoke was passed on, by performance.now(); undefined before. */
  readonly unchokedAt: number | undefined;
  close(): Promise<void>;
}

/** Calls back at the first unchoke in a stream of messages behind a handshake. */
function lookForUnchoke(found: () => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let skip = HANDSHAKE_BYTES;
  let isGreeted = false;
  let isDone = false;
  return (chunk) => {
    if (isDone) return;
    rest = Buffer.concat([rest, chunk]);
    if (!isGreeted) {
      const begin = rest.indexOf(HANDSHAKE);
      if (begin < 0) return;
      rest = rest.subarray(begin);
      isGreeted = true;
    }
    for (;;) {
      const skipped = Math.min(skip, rest.length);
      rest = rest.subarray(skipped);
      skip -= skipped;
      if (skip > 0 || rest.length < 4) return;
      const length = rest.readUInt32BE(0);
      if (length > 0 && rest.length < 5) return;
      if (length === 1 && rest[4] === UNCHOKE) {
        isDone = true;
        found();
        return;
      }
      skip = 4 + length;
    }
  };
}

function pass(from: Socket, to: Socket, delayMilliseconds: number, look?: (chunk: Buffer) => void): void {
  const later = (work: () => void) =>
    void (delayMilliseconds === 0 ? work() : setTimeout(work, delayMilliseconds));
  from.setNoDelay(true);
  from.on('data', (chunk: Buffer) =>
    later(() => {
      if (!to.writable) return;
      look?.(chunk);
      to.write(chunk);
    }),
  );
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}

/** Passes every connection on to the target. */
export async function forward(target: Target): Promise<Forwarder> {
  const { delayMilliseconds } = target;
  const sockets = new Set<Socket>();
  let unchokedAt: number | undefined;
  const server = createServer((dialler) => {
    const onward = connect({ host: target.host, port: target.port });
    for (const socket of [dialler, onward]) sockets.add(socket.on('close', () => sockets.delete(socket)));
    const look = lookForUnchoke(() => {
      unchokedAt ??= performance.now();
    });
    pass(dialler, onward, delayMilliseconds, target.seed === 'dialler' ? look : undefined);
    pass(onward, dialler, delayMilliseconds, target.seed === 'target' ? look : undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get unchokedAt() {
      return unchokedAt;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
