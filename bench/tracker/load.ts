/**
 * Keeps connections to a tracker busy with announces: each sends one, waits for the answer, and sends the next, of
 * another peer. It runs as a process of its own and prints one JSON object a line.
 *
 *     node bench/tracker/load.ts '{"port":6969,"connections":64,"swarms":1,"peersPerSwarm":100000,"seconds":5}'
 *
 * `fill` announces every peer once; with `seconds` alone peers are chosen at random; `perRequest` opens a
 * connection for each announce.
 */
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** What is to be announced, and how. */
export interface LoadSettings {
  readonly port: number;
  readonly connections: number;
  readonly swarms: number;
  readonly peersPerSwarm: number;
  /** How long; 0 for one announce of each peer. */
  readonly seconds: number;
  readonly perRequest: boolean;
  /** Sends `event=started`. */
  readonly started: boolean;
}

/** What came of it. */
export interface LoadResult {
  readonly answers: number;
  readonly failures: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly p50Milliseconds: number;
  readonly p99Milliseconds: number;
  readonly maxMilliseconds: number;
}

/** Peers of a host; a tracker may bound them. */
const HOSTS = 8;
const HEAD_END = '\r\n\r\n';

const escapeBytes = (bytes: Uint8Array) =>
  [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** The info hash of swarm `number`. */
export function infoHashOf(number: number): Buffer {
  const hash = Buffer.alloc(20, 0xa5);
  hash.writeUInt32BE(number, 0);
  return hash;
}

function requestOf(swarm: number, member: number, { perRequest, started }: LoadSettings): Buffer {
  const id = `-LD0001-${String(swarm * 1_000_000 + member).padStart(12, '0')}`;
  const port = 1 + (Math.floor(member / HOSTS) % 65_535);
  const query =
    `info_hash=${escapeBytes(infoHashOf(swarm))}&peer_id=${id}&port=${port}&uploaded=0&downloaded=0` +
    `&left=100&numwant=50&compact=1&no_peer_id=1&key=0badcafe${started ? '&event=started' : ''}`;
  const connection = perRequest ? 'Connection: close\r\n' : '';
  return Buffer.from(`GET /announce?${query} HTTP/1.1\r\nHost: 127.0.0.1\r\n${connection}\r\n`, 'latin1');
}

/** The next request of a host; undefined when there is none. */
type Next = (host: number) => Buffer | undefined;

class Connection {
  readonly #host: number;
  readonly #settings: LoadSettings;
  readonly #next: Next;
  readonly #done: () => void;
  readonly #latencies: number[];
  readonly counts: { answers: number; failures: number; bytes: number };
  #socket: Socket | undefined;
  #sentAt = 0;
  #text = '';

  constructor(options: {
    host: number;
    settings: LoadSettings;
    next: Next;
    done: () => void;
    latencies: number[];
    counts: { answers: number; failures: number; bytes: number };
  }) {
    this.#host = options.host;
    this.#settings = options.settings;
    this.#next = options.next;
    this.#done = options.done;
    this.#latencies = options.latencies;
    this.counts = options.counts;
  }

  connect(connected: () => void): void {
    const socket = new Socket();
    this.#socket = socket;
    this.#text = '';
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed(socket));
    socket.connect({
      port: this.#settings.port,
      host: '127.0.0.1',
      localAddress: `127.0.0.${2 + this.#host}`,
    });
    socket.once('connect', connected);
  }

  send(): void {
    const request = this.#next(this.#host);
    if (request === undefined) {
      this.#socket?.destroy();
      this.#socket = undefined;
      this.#done();
      return;
    }
    this.#sentAt = performance.now();
    if (this.#settings.perRequest && this.#socket === undefined)
      this.connect(() => this.#socket?.write(request));
    else this.#socket?.write(request);
  }

  #take(text: string): void {
    this.#text = this.#text === '' ? text : this.#text + text;
    const head = this.#text.indexOf(HEAD_END);
    if (head < 0) return;
    const at = this.#text.search(/content-length: /i);
    const length = Number.parseInt(this.#text.slice(at + 16, at + 24), 10);
    if (this.#text.length < head + HEAD_END.length + length) return;
    this.#answered(this.#text.includes('8:interval', head));
  }

  #answered(isGood: boolean): void {
    const { counts } = this;
    counts.answers += 1;
    counts.bytes += this.#text.length;
    if (!isGood) counts.failures += 1;
    this.#latencies.push(performance.now() - this.#sentAt);
    this.#text = '';
    if (this.#settings.perRequest) {
      this.#socket?.destroy();
      this.#socket = undefined;
    }
    this.send();
  }

  #closed(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.counts.failures += 1;
    if (this.#settings.perRequest) this.send();
    else this.connect(() => this.send());
  }
}

/** Requests of all peers by host; one of each when there is no time to fill. */
function requestsBy(settings: LoadSettings): Next {
  const { swarms, peersPerSwarm, seconds } = settings;
  const requests: Buffer[][] = Array.from({ length: HOSTS }, () => []);
  for (let swarm = 0; swarm < swarms; swarm += 1)
    for (let member = 0; member < peersPerSwarm; member += 1)
      requests[member % HOSTS]?.push(requestOf(swarm, member, settings));
  if (seconds === 0) return (host) => requests[host]?.pop();
  const end = performance.now() + seconds * 1000;
  return (host) => {
    const mine = requests[host] ?? [];
    return performance.now() > end ? undefined : mine[Math.floor(Math.random() * mine.length)];
  };
}

/** Runs a load. The clock starts when all connections stand. */
export async function runLoad(settings: LoadSettings): Promise<LoadResult> {
  const latencies: number[] = [];
  const counts = { answers: 0, failures: 0, bytes: 0 };
  let next: Next = () => undefined;
  let running = settings.connections;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const done = () => {
    running -= 1;
    if (running === 0) end();
  };
  const connections = Array.from(
    { length: settings.connections },
    (_, number) =>
      new Connection({
        host: number % HOSTS,
        settings,
        next: (host) => next(host),
        done,
        latencies,
        counts,
      }),
  );
  if (!settings.perRequest)
    for (let at = 0; at < connections.length; at += 200)
      await Promise.all(
        connections.slice(at, at + 200).map((one) => new Promise<void>((resolve) => one.connect(resolve))),
      );
  next = requestsBy(settings);
  const start = performance.now();
  for (const connection of connections) connection.send();
  await ended;
  const seconds = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (part: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0;
  return {
    ...counts,
    seconds,
    p50Milliseconds: at(0.5),
    p99Milliseconds: at(0.99),
    maxMilliseconds: at(1),
  };
}

if (import.meta.main) {
  const settings: LoadSettings = {
    ...{ connections: 64, swarms: 1, peersPerSwarm: 100_000, seconds: 5, perRequest: false, started: false },
    ...(JSON.parse(process.argv[2] ?? '{}') as Pick<LoadSettings, 'port'>),
  };
  process.stdout.write(`${JSON.stringify(await runLoad(settings))}\n`);
  process.exit(0);
}
