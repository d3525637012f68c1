// The web seeds of one torrent. Invariant: when nothing is missing but what none of them can give, and nobody who is
// connected has it, that is told, once.
import { fileName } from './warnings.ts';
import { WebSeed, type WebSeedSurroundings } from './web-seed.ts';

/** Web seeds of one torrent that are used. */
const MAX_WEB_SEEDS = 16;

/** Peers may take so long to come before it is said that nobody has what is missing. */
const PATIENCE_MILLISECONDS = 10_000;

export class WebSeeds {
  readonly #around: WebSeedSurroundings;
  readonly #seeds: readonly WebSeed[];
  /** Since when nobody has what is missing. */
  #stuckSince: number | undefined;
  #heldThen = 0;
  #isSaid = false;

  /** @param urls of them the first ones that are of web servers are used */
  constructor(urls: readonly string[], around: WebSeedSurroundings) {
    this.#around = around;
    this.#seeds = [...new Set(urls)]
      .filter((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))
      .slice(0, MAX_WEB_SEEDS)
      .map((url) => new WebSeed(url, around));
  }

  /** Every 100 ms: they join the swarm when there is something to fetch. */
  tick(now: number): void {
    for (const seed of this.#seeds) seed.tick(now);
    if (this.#seeds.length > 0 && !this.#isSaid) this.#lookWhetherStuck(now);
  }

  /** Ends those of this identity, who gave wrong bytes; false if there are none. */
  ban(identity: string, reason: string): boolean {
    const guilty = this.#seeds.filter((seed) => seed.identity === identity);
    for (const seed of guilty) seed.ban(reason);
    return guilty.length > 0;
  }

  /** The torrent ends. */
  end(reason: string): void {
    for (const seed of this.#seeds) seed.end(reason);
  }

  #lookWhetherStuck(now: number): void {
    const missing = this.#missingFiles();
    const { count } = this.#around.swarm.held;
    if (missing.length === 0 || count !== this.#heldThen) this.#stuckSince = undefined;
    else this.#stuckSince ??= now;
    this.#heldThen = count;
    if (this.#stuckSince === undefined || now - this.#stuckSince < PATIENCE_MILLISECONDS) return;
    this.#isSaid = true;
    const { metainfo, logger } = this.#around;
    const more = missing.length === 1 ? '' : ` and of ${missing.length - 1} more`;
    logger.warn(
      { infoHash: metainfo.infoHashHex },
      `no web seed and no connected peer has what is missing of ${fileName(metainfo, missing[0] as number)}${more}; it is waited for`,
    );
  }

  /** Files that hold up the torrent; none while anybody has something that is missing. */
  #missingFiles(): number[] {
    const { swarm, metainfo } = this.#around;
    if (swarm.isComplete || swarm.paused) return [];
    const missing = new Set<number>();
    for (const { missingFiles } of this.#seeds) {
      if (missingFiles === undefined) return [];
      for (const file of missingFiles) missing.add(file);
    }
    if (missing.size === 0) return [];
    if (swarm.peers.some(({ availability, link }) => availability.useful > 0 && !(link instanceof WebSeed)))
      return [];
    return [...missing].filter((number) => {
      const { offsetBytes = 0, lengthBytes = 0 } = metainfo.files[number] ?? {};
      const last = Math.floor((offsetBytes + lengthBytes - 1) / metainfo.pieceLength);
      const next = swarm.held.nextMissing(Math.floor(offsetBytes / metainfo.pieceLength));
      return next >= 0 && next <= last;
    });
  }
}
