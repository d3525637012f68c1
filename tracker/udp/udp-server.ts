/**
 * The sockets of the tracker over UDP. A client takes an answer from the address that it asked and from no other, but
 * Node cannot say from which address of the machine a datagram is sent, nor at which one it came in. So where all
 * addresses are to be listened on there is a socket for each of them, and one more for those that are not known, whose
 * answers go out from the address that the system chooses.
 *
 * Invariant: the addresses that have sockets are those of the machine, a few seconds late.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { systemCode } from '../../base/index.ts';
import { UdpTracker, type UdpTrackerParts } from './udp-tracker.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const SCAN_EVERY_MILLISECONDS = 2_000;
/** Sockets for addresses of the machine; the others share one. */
const MAX_ADDRESSES = 1_024;

/** The tracker's UDP side. */
export interface UdpServer {
  /** Looks which addresses the machine has by now; also done every few seconds. */
  scan(): Promise<void>;
  close(): Promise<void>;
}

/** The IP addresses of the machine; of an IPv6 address that is good on one link alone with its zone. */
export function machineAddresses(): string[] {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries.map(({ address, family, scopeid }) =>
      family === 'IPv6' && scopeid ? `${address}%${name}` : address,
    ),
  );
  return [...new Set(addresses)];
}

const isIpv6 = (address: string) => address.includes(':');

class UdpSockets implements UdpServer {
  readonly #tracker: UdpTracker;
  readonly #logger: UdpTrackerParts['logger'];
  readonly #port: number;
  readonly #addresses: () => readonly string[];
  /** By the address that they are bound to. */
  readonly #sockets = new Map<string, Socket>();
  /** Addresses that could not be bound to, which has been told. */
  readonly #failing = new Set<string>();
  /** The one that stands for all of them, where there is one. */
  #wildcard = '';
  #scanning: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: UdpTrackerParts, port: number, addresses: () => readonly string[]) {
    this.#tracker = new UdpTracker(parts);
    this.#logger = parts.logger;
    this.#port = port;
    this.#addresses = addresses;
  }

  /** Listens on one address. @throws the error of the operating system */
  async listen(address: string, isShared: boolean): Promise<void> {
    const socket = createSocket({
      type: isIpv6(address) ? 'udp6' : 'udp4',
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      // Lets sockets of single addresses stand beside that of all.
      reuseAddr: isShared,
    });
    socket.bind(this.#port, address);
    try {
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#sockets.set(address, socket);
    socket.on('message', (datagram, from: RemoteInfo) =>
      this.#tracker.take(datagram, from, (answer) => {
        if (this.#sockets.get(address) === socket)
          socket.send(answer, from.port, from.address, () => undefined);
      }),
    );
    // Of a datagram that somebody could not be reached with.
    socket.on('error', (err) => this.#logger.warn({ err, address }, 'the UDP socket has an error'));
  }

  /** Listens on all addresses of the machine. @throws the error of the operating system */
  async listenOnAll(wildcard: string): Promise<void> {
    await this.listen(wildcard, true);
    this.#wildcard = wildcard;
    await this.scan();
    this.#timer = setInterval(() => void this.scan(), SCAN_EVERY_MILLISECONDS);
  }

  scan(): Promise<void> {
    this.#scanning ??= this.#look().finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#scanning;
    await Promise.all([...this.#sockets.keys()].map((address) => this.#leave(address)));
  }

  async #look(): Promise<void> {
    const wildcard = this.#wildcard;
    const wanted = new Set(
      this.#addresses()
        .filter((address) => isIpv6(wildcard) || !isIpv6(address))
        .slice(0, MAX_ADDRESSES),
    );
    for (const address of this.#failing) if (!wanted.has(address)) this.#failing.delete(address);
    for (const address of this.#sockets.keys())
      if (address !== wildcard && !wanted.has(address)) await this.#leave(address);
    for (const address of wanted) {
      if (this.#isClosed) return;
      if (this.#sockets.has(address)) continue;
      try {
        await this.listen(address, true);
        this.#failing.delete(address);
      } catch (error) {
        this.#complain(address, error);
      }
    }
  }

  #complain(address: string, err: unknown): void {
    if (this.#failing.has(address)) return;
    this.#failing.add(address);
    this.#logger.warn({ err, address }, 'UDP cannot be answered from this address; it is tried again');
  }

  async #leave(address: string): Promise<void> {
    const socket = this.#sockets.get(address) as Socket;
    this.#sockets.delete(address);
    const closed = once(socket, 'close');
    socket.close();
    await closed;
  }
}

/** The address of a host, and whether it stands for all of the machine. */
async function bindAddress(host: string): Promise<{ address: string; isWildcard: boolean }> {
  const { address } = await lookup(host);
  return {
    address,
    isWildcard: ipaddr.isValid(address) && ipaddr.process(address).range() === 'unspecified',
  };
}

/**
 * Listens.
 *
 * @param addresses the addresses of the machine
 * @throws the error of the operating system if it cannot
 */
export async function startUdpServer(
  parts: UdpTrackerParts,
  host: string,
  port: number,
  addresses: () => readonly string[] = machineAddresses,
): Promise<UdpServer> {
  const { address, isWildcard } = await bindAddress(host);
  const sockets = new UdpSockets(parts, port, addresses);
  try {
    if (!isWildcard) await sockets.listen(address, false);
    else {
      try {
        await sockets.listenOnAll(address);
      } catch (error) {
        // A machine without IPv6: the dual-stack default then means IPv4.
        if (address !== '::' || systemCode(error) !== 'EAFNOSUPPORT') throw error;
        await sockets.listenOnAll('0.0.0.0');
      }
    }
    return sockets;
  } catch (error) {
    await sockets.close();
    throw error;
  }
}
