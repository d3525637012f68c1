// A peer that says whatever a test wants, over a real socket.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { PeerAddress } from '../../../torrent/discovery/discovery.ts';
import { encodeHandshake, HandshakeReader } from '../../../torrent/wire/handshake.ts';
import { MessageReader } from '../../../torrent/wire/message-reader.ts';
import { MessageWriter } from '../../../torrent/wire/message-writer.ts';
import { until } from '../../base/until.ts';
import { recorder } from '../wire/recorder.ts';
import { afterwards } from './harness.ts';

/** One end of a connection to a session. */
export class RawPeer {
  readonly socket: Socket;
  readonly writer = new MessageWriter();
  /** What the session said after its handshake. */
  readonly heard: string[];
  readonly #reader: MessageReader;
  #handshake: HandshakeReader | undefined = new HandshakeReader();
  /** Told of every request, after it was written down. */
  onRequest: ((piece: number, begin: number, length: number) => void) | undefined;
  /** Told of every extended message, likewise. */
  onExtended: ((id: number, payload: Buffer) => void) | undefined;
  /** How the connection ended, if it did. */
  ended: 'end' | 'reset' | undefined;

  constructor(socket: Socket, pieceCount: number) {
    this.socket = socket;
    const { handler, heard } = recorder();
    this.heard = heard;
    const request = (piece: number, begin: number, length: number) => {
      handler.request(piece, begin, length);
      this.onRequest?.(piece, begin, length);
    };
    const extended = (id: number, payload: Buffer) => {
      handler.extended(id, payload);
      this.onExtended?.(id, payload);
    };
    this.#reader = new MessageReader(
      { ...handler, request, extended },
      {
        bitfieldBytes: (pieceCount + 7) >>> 3,
        maxBlockBytes: 16 * 1024,
      },
    );
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    socket.on('end', () => {
      this.ended ??= 'end';
    });
    socket.on('error', () => {
      this.ended ??= 'reset';
    });
    socket.on('close', () => {
      this.ended ??= 'reset';
    });
    afterwards(() => socket.destroy());
  }

  #data(chunk: Buffer): void {
    let rest = chunk;
    if (this.#handshake !== undefined) {
      rest = chunk.subarray(this.#handshake.push(chunk));
      if (this.#handshake.result === undefined) return;
      this.#handshake = undefined;
    }
    this.#reader.push(rest);
  }

  get isGreeted(): boolean {
    return this.#handshake === undefined;
  }

  /** From here on the session may send runs of blocks. */
  takeRuns(mostBytes: number): void {
    this.#reader.takeRuns(mostBytes);
  }

  /** Sends what was written to `writer`. */
  flush(): void {
    for (const chunk of this.writer.take()) this.socket.write(chunk);
  }

  /** Sends bytes as they are. */
  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  greet(
    infoHash: Uint8Array,
    options: { peerId?: Uint8Array; fast?: boolean; extensions?: boolean } = {},
  ): void {
    const bytes = encodeHandshake(infoHash, options.peerId ?? Buffer.from('-RAW000-peer00000001'));
    if (options.fast === false) bytes[27] = 0;
    if (options.extensions === false) bytes[25] = 0;
    this.send(bytes);
  }

  /** Waits for the session to end the connection. */
  async end(seconds = 5): Promise<void> {
    await until('the connection is ended', () => this.ended !== undefined, seconds);
  }
}

/** Connects to a session, from one of the machine's addresses; nothing is said yet. */
export async function dialRaw(
  port: number,
  pieceCount: number,
  localAddress = '127.0.0.1',
): Promise<RawPeer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, localAddress });
  const peer = new RawPeer(socket, pieceCount);
  await once(socket, 'connect');
  return peer;
}

/** Waits for a session to dial; the first connection is handed out, all are counted. */
export async function listenRaw(
  pieceCount: number,
  host = '127.0.0.1',
): Promise<{ address: PeerAddress; peer: Promise<RawPeer>; connections: () => number }> {
  let connections = 0;
  const server = createServer(() => connections++);
  const peer = once(server, 'connection').then(([socket]) => new RawPeer(socket as Socket, pieceCount));
  server.listen(0, host);
  await once(server, 'listening');
  afterwards(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { address: { host, port: address.port }, peer, connections: () => connections };
}
