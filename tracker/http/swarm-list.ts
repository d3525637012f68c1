/**
 * All swarms in figures, as JSON that is made part by part: there may be a hundred thousand, and announces are
 * answered between two parts.
 *
 * Invariant: a part looks at a bounded number of swarms and, but for one swarm, of peers; a swarm is told once,
 * however swarms come and go meanwhile.
 */
import { setImmediate } from 'node:timers/promises';
import type { SwarmSummary } from '../swarms/swarm-summary.ts';

/** Peers that a part looks at, in about a millisecond. */
const PEERS_A_PART = 10_000;
/** A swarm costs as much as so many peers, be it empty. */
const PEERS_A_SWARM = 100;

/**
 * The text of `{"swarms":[…]}` in parts.
 *
 * @param infoHashes of the swarms as they are now
 * @param figures of a swarm; undefined if it is gone
 */
export async function* swarmList(
  infoHashes: Iterable<string>,
  figures: (infoHash: string) => SwarmSummary | undefined,
): AsyncGenerator<string, void, void> {
  let text = '{"swarms":[';
  let separator = '';
  let looked = 0;
  // Copied first: a map that changes meanwhile would tell of those that moved to its end again.
  for (const infoHash of [...infoHashes]) {
    const summary = figures(infoHash);
    if (summary !== undefined) {
      text += separator + JSON.stringify(summary);
      separator = ',';
    }
    looked += PEERS_A_SWARM + (summary?.peers ?? 0);
    if (looked < PEERS_A_PART) continue;
    yield text;
    text = '';
    looked = 0;
    await setImmediate();
  }
  yield `${text}]}`;
}
