// The limits that hold for one torrent: its own, and those of its session besides. Invariant: every byte of payload
// is counted in both.
import type { SwarmHost } from '../swarm/host.ts';
import { TokenBucket } from '../swarm/token-bucket.ts';
import type { TransferLimits } from './types.ts';

/** One direction. */
interface Direction {
  readonly own: TokenBucket;
  readonly all: TokenBucket;
}

function isOpen({ own, all }: Direction, now: number): boolean {
  return own.isOpen(now) && all.isOpen(now);
}

function spend({ own, all }: Direction, bytes: number): void {
  own.spend(bytes);
  all.spend(bytes);
}

/** What a swarm asks before it sends or asks for something. Hot: once a block. */
export class TorrentLimits
  implements Pick<SwarmHost, 'mayUpload' | 'spendUpload' | 'mayDownload' | 'spendDownload' | 'refundDownload'>
{
  readonly #upload: Direction;
  readonly #download: Direction;

  constructor(
    limits: TransferLimits | undefined,
    session: { upload: TokenBucket; download: TokenBucket },
    now: number,
  ) {
    this.#upload = { own: new TokenBucket(limits?.uploadBytesPerSecond, now), all: session.upload };
    this.#download = { own: new TokenBucket(limits?.downloadBytesPerSecond, now), all: session.download };
  }

  /** Replaces the torrent's own. */
  set(limits: TransferLimits, now: number): void {
    this.#upload.own.setRate(limits.uploadBytesPerSecond, now);
    this.#download.own.setRate(limits.downloadBytesPerSecond, now);
  }

  mayUpload(now: number): boolean {
    return isOpen(this.#upload, now);
  }

  spendUpload(bytes: number): void {
    spend(this.#upload, bytes);
  }

  mayDownload(now: number): boolean {
    return isOpen(this.#download, now);
  }

  spendDownload(bytes: number): void {
    spend(this.#download, bytes);
  }

  refundDownload(bytes: number): void {
    this.#download.own.refund(bytes);
    this.#download.all.refund(bytes);
  }
}
