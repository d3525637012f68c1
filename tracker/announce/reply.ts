/**
 * Answers to announce and scrape, bencoded. Written out by hand rather than through an encoder of any value: the
 * shape is fixed, keys must be in order, and an announce is answered thousands of times a second.
 */

import { COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, readCompact } from '../swarms/peer-address.ts';
import { Flag, type PeerTable } from '../swarms/peer-table.ts';
import type { Announced } from '../swarms/registry.ts';
import type { SwarmCounts } from '../swarms/swarm.ts';
import { MAX_WANTED_PEERS } from './announce-request.ts';
import type { Intervals } from './intervals.ts';

/** When to try again after a failure (BEP 31): in so many minutes, or not at all. */
export type RetryIn = number | 'never';

const text = (value: string) => `${Buffer.byteLength(value)}:${value}`;

/** A failure: BEP 3's `failure reason`, with BEP 31's `retry in` where it is known. */
export function failureReply(reason: string, retryIn?: RetryIn): Buffer {
  let retry = '';
  if (retryIn === 'never') retry = '8:retry in5:never';
  else if (retryIn !== undefined) retry = `8:retry ini${retryIn}e`;
  return Buffer.from(`d14:failure reason${text(reason)}${retry}e`);
}

/** Room for the addresses of the longest answer. */
const scratch = Buffer.alloc(MAX_WANTED_PEERS * COMPACT_IPV6_BYTES);

/** Hot: writes the addresses of IPv4, or of IPv6, behind `at`; returns where they end. */
function writeCompact(table: PeerTable, announced: Announced, isIpv6: boolean, at: number): number {
  const { picked, pickedCount } = announced;
  const { compact, flags } = table;
  let end = at;
  for (let place = 0; place < pickedCount; place += 1) {
    const peer = picked[place] as number;
    if (((flags[peer] as number) & Flag.Ipv6) !== (isIpv6 ? Flag.Ipv6 : 0)) continue;
    const start = peer * COMPACT_IPV6_BYTES;
    scratch[end] = compact[start] as number;
    scratch[end + 1] = compact[start + 1] as number;
    scratch[end + 2] = compact[start + 2] as number;
    scratch[end + 3] = compact[start + 3] as number;
    scratch[end + 4] = compact[start + 4] as number;
    scratch[end + 5] = compact[start + 5] as number;
    if (isIpv6)
      for (let byte = COMPACT_IPV4_BYTES; byte < COMPACT_IPV6_BYTES; byte += 1)
        scratch[end + byte] = compact[start + byte] as number;
    end += isIpv6 ? COMPACT_IPV6_BYTES : COMPACT_IPV4_BYTES;
  }
  return end;
}

function listedPeers(table: PeerTable, { picked, pickedCount }: Announced, omitPeerIds: boolean): string {
  let list = '5:peersl';
  for (const peer of picked.subarray(0, pickedCount)) {
    const { host, port } = readCompact(table.compactOf(peer));
    const id = omitPeerIds ? '' : `7:peer id20:${table.peerIdOf(peer).toString('latin1')}`;
    list += `d2:ip${text(host)}${id}4:porti${port}ee`;
  }
  return `${list}e`;
}

/** Tells our own clients that the replica which they asked took them for another's. */
const HANDED_ON = '9:handed oni1e';

/**
 * Hot: the answer to an announce, compact (BEP 23, BEP 7) or as a list (BEP 3).
 *
 * @param isHandedOn another replica was asked: said by a key of our own
 * @returns one char a byte: as a string it goes out in one write with the headers of HTTP
 */
export function announceReply(
  table: PeerTable,
  announced: Announced,
  { intervalSeconds, minIntervalSeconds }: Pick<Intervals, 'intervalSeconds' | 'minIntervalSeconds'>,
  form: { readonly compact: boolean; readonly omitPeerIds: boolean },
  isHandedOn = false,
): string {
  const { seeders, leechers, completed } = announced.counts;
  const head =
    `d8:completei${seeders}e10:downloadedi${completed}e${isHandedOn ? HANDED_ON : ''}10:incompletei${leechers}e` +
    `8:intervali${intervalSeconds}e12:min intervali${minIntervalSeconds}e`;
  if (!form.compact) return `${head}${listedPeers(table, announced, form.omitPeerIds)}e`;
  const middle = writeCompact(table, announced, false, 0);
  const peers = `5:peers${middle}:${scratch.toString('latin1', 0, middle)}`;
  if (middle === announced.pickedCount * COMPACT_IPV4_BYTES) return `${head}${peers}e`;
  const end = writeCompact(table, announced, true, middle);
  return `${head}${peers}6:peers6${end - middle}:${scratch.toString('latin1', middle, end)}e`;
}

/**
 * The answer to a scrape (BEP 48), with the `downloaders` of BEP 21.
 *
 * @param files counts by info hash in hex
 */
export function scrapeReply(
  files: ReadonlyMap<string, SwarmCounts>,
  minRequestIntervalSeconds: number,
): Buffer {
  const parts = [Buffer.from('d5:filesd')];
  for (const infoHash of [...files.keys()].sort()) {
    const { seeders, leechers, partialSeeds, completed } = files.get(infoHash) as SwarmCounts;
    parts.push(
      Buffer.from('20:'),
      Buffer.from(infoHash, 'hex'),
      Buffer.from(
        `d8:completei${seeders}e10:downloadedi${completed}e` +
          `11:downloadersi${leechers - partialSeeds}e10:incompletei${leechers}ee`,
      ),
    );
  }
  parts.push(Buffer.from(`e5:flagsd20:min_request_intervali${minRequestIntervalSeconds}eee`));
  return Buffer.concat(parts);
}
