/**
 * A tracker that has two clients meet by one way alone: whoever announces from the dialler's port is told of one
 * address, everybody else of none.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A tracker that listens on loopback. */
export interface Matchmaker {
  readonly announceUrl: string;
  /** From here on the client that listens on `diallerPort` is told of a peer on loopback. */
  match(diallerPort: number, peerPort: number): void;
  close(): Promise<void>;
}

/** Starts a matchmaker that tells nobody anything yet. */
export async function startMatchmaker(): Promise<Matchmaker> {
  let told = { diallerPort: 0, peerPort: 0 };
  const server = createServer((request, response) => {
    const asking = Number(new URL(request.url ?? '/', 'http://tracker').searchParams.get('port'));
    const peer = Buffer.from([127, 0, 0, 1, told.peerPort >> 8, told.peerPort & 255]);
    const peers = asking === told.diallerPort ? peer : Buffer.alloc(0);
    const head = `d8:intervali2e12:min intervali1e5:peers${peers.length}:`;
    response.end(Buffer.concat([Buffer.from(head), peers, Buffer.from('e')]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    announceUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`,
    match(diallerPort, peerPort) {
      told = { diallerPort, peerPort };
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
