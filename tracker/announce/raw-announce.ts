/** What an announce is before anybody has looked into it. */
import type { Credentials } from '../rights/rights.ts';

/** An announce over HTTP as it came, one char a byte. */
export interface RawAnnounce {
  /** What follows `?` in the target. */
  readonly query: string;
  /** The compact address of the connection; its port may be overwritten. */
  readonly host: Buffer | undefined;
  readonly credentials: Credentials;
  /** Another replica handed it on. */
  readonly isForwarded?: boolean;
}
