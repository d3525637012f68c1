// Where peers come from. Invariant: an address is a hint; a bad one costs a failed dial and nothing else.

/** Where a peer can be dialled. `host` is an IPv4 or IPv6 address (without brackets) or a DNS name. */
export interface PeerAddress {
  host: string;
  /** 1 to 65535. */
  port: number;
}

/** How far a torrent is, in bytes: what announces tell. */
export interface TransferTotals {
  uploaded: number;
  downloaded: number;
  left: number;
}

/** The swarm that peers are wanted for. */
export interface SwarmIdentity {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** 20 bytes. */
  peerId: Uint8Array;
  /** Where we listen. */
  port: number;
  /** The one address that we listen on: announces leave from it. Undefined where it is every address. */
  localAddress?: string | undefined;
  /** Asked whenever an announce is made. */
  progress(): TransferTotals;
}

/** A source of peers of one torrent. None of the methods throws or rejects. */
export interface Discovery {
  /** Who is named here belongs to us: agents of one cluster, of which many may be behind one network. */
  readonly namesOwn?: boolean;
  /** Begins; `onPeers` is called with every list that comes, the same address may come again. */
  start(swarm: SwarmIdentity, onPeers: (addresses: PeerAddress[]) => void): void;
  /** The download is complete. */
  announce(event: 'completed'): void;
  /** There are too few peers: ask again as soon as the source allows. */
  needMore(): void;
  /** Takes leave, within a bounded time; nothing is called afterwards. */
  stop(): Promise<void>;
}
