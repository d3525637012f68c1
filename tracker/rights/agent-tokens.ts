/**
 * Whose token an announce shows. Agents prove themselves by the service account tokens of their Pods; who judges
 * those (in a cluster, the API server) is handed in.
 *
 * Invariant: nothing is believed longer than the token itself lasts, a token is judged once at a time, and what
 * strangers send takes bounded memory. While the judge is away, what was found good stays good.
 */
import { createHash } from 'node:crypto';
import type { Logger } from '../../base/index.ts';

/** An agent, as its token says. */
export interface AgentIdentity {
  /** The Kubernetes node of its Pod; undefined where the token does not say. */
  readonly node: string | undefined;
}

/** Judges a token; undefined for one that is not an agent's. Rejects while that cannot be said. */
export type TokenJudge = (token: string) => Promise<AgentIdentity | undefined>;

/** What is known of a token. */
export interface Verdict {
  /** `unknown`: the judge could not be asked. */
  readonly result: 'agent' | 'stranger' | 'unknown';
  /** Undefined but for agents. */
  readonly agent: AgentIdentity | undefined;
  /** On the monotonic clock, in milliseconds: then it is judged anew. */
  readonly untilMilliseconds: number;
}

/** A good token is judged anew so often, at most: Pods go, and tokens with them. */
const AGENT_MILLISECONDS = 5 * 60_000;
const STRANGER_MILLISECONDS = 10_000;
/** The judge is left alone about a token for so long after it failed. */
const UNKNOWN_MILLISECONDS = 1_000;
const MAX_REMEMBERED = 20_000;
/** Judgements under way; beyond it tokens are told to come back. */
const MAX_IN_FLIGHT = 256;
/** Longer ones are nobody's. */
const MAX_TOKEN_LENGTH = 8_192;

interface Remembered {
  readonly verdict: Verdict;
  /** When the token itself ends, on the monotonic clock. */
  readonly expiresMilliseconds: number;
}

/** The `exp` of a JWT in seconds since 1970; undefined where it states none. Only for tokens found good. */
function expirySeconds(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    if (typeof claims !== 'object' || claims === null || !('exp' in claims)) return undefined;
    return typeof claims.exp === 'number' ? claims.exp : undefined;
  } catch {
    return undefined;
  }
}

export class AgentTokens {
  readonly #judge: TokenJudge;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #date: () => number;
  /** By SHA-256 of the token; those judged longest ago first. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #inFlight = new Map<string, Promise<Verdict>>();

  /**
   * @param now milliseconds of a monotonic clock
   * @param date milliseconds since 1970, as tokens state their end
   */
  constructor(options: {
    judge: TokenJudge;
    logger: Logger;
    now: () => number;
    date?: () => number;
  }) {
    this.#judge = options.judge;
    this.#logger = options.logger;
    this.#now = options.now;
    this.#date = options.date ?? Date.now;
  }

  /** True while a verdict holds. */
  holds(verdict: Verdict): boolean {
    return verdict.untilMilliseconds > this.#now();
  }

  /** What is to be thought of a token, at once where it is known. */
  check(token: string): Verdict | Promise<Verdict> {
    if (token.length > MAX_TOKEN_LENGTH) return this.#verdict('stranger', STRANGER_MILLISECONDS);
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(hash);
    if (known !== undefined && this.holds(known.verdict)) return known.verdict;
    const running = this.#inFlight.get(hash);
    if (running !== undefined) return running;
    if (this.#inFlight.size >= MAX_IN_FLIGHT) return this.#verdict('unknown', 0);
    const judging = this.#ask(token, hash, known).finally(() => this.#inFlight.delete(hash));
    this.#inFlight.set(hash, judging);
    return judging;
  }

  async #ask(token: string, hash: string, known: Remembered | undefined): Promise<Verdict> {
    try {
      const agent = await this.#judge(token);
      if (agent === undefined)
        return this.#remember(hash, this.#verdict('stranger', STRANGER_MILLISECONDS), 0);
      const expiry = expirySeconds(token);
      const lasts = expiry === undefined ? AGENT_MILLISECONDS : expiry * 1000 - this.#date();
      return this.#remember(
        hash,
        this.#verdict('agent', Math.min(AGENT_MILLISECONDS, lasts), agent),
        this.#now() + lasts,
      );
    } catch (err) {
      this.#logger.warn({ err }, 'a token cannot be checked just now');
      const left = (known?.expiresMilliseconds ?? 0) - this.#now();
      const verdict =
        known?.verdict.agent !== undefined && left > 0
          ? this.#verdict('agent', Math.min(UNKNOWN_MILLISECONDS, left), known.verdict.agent)
          : this.#verdict('unknown', UNKNOWN_MILLISECONDS);
      return this.#remember(hash, verdict, known?.expiresMilliseconds ?? 0);
    }
  }

  #verdict(result: Verdict['result'], milliseconds: number, agent?: AgentIdentity): Verdict {
    return { result, agent, untilMilliseconds: this.#now() + milliseconds };
  }

  #remember(hash: string, verdict: Verdict, expiresMilliseconds: number): Verdict {
    this.#remembered.delete(hash);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.set(hash, { verdict, expiresMilliseconds });
    return verdict;
  }
}
