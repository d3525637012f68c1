/**
 * Answers to announce and scrape, bencoded. Written out by hand rather than through an encoder of any value: the
 * shape is fixed, keys must be in order, and an announce is answered thousands of times a second.
 */
import { MAX_WANTED_PEERS } from './announce-request.ts';
import type { Intervals } from './intervals.ts';
import { COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, readCompact } from './peer-address.ts';
import { Flag, type PeerTable } from './peer-table.ts';
import type { Announced } from './registry.ts';
import type { SwarmCounts } from './swarm.ts';

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

/** Hot: writes the addresses of one family. */
function writeCompact(
  table: PeerTable,
  { picked, pickedCount }: Announced,
  isIpv6: boolean,
  at: number,
): number {
  const { compact, flags } = table;
  const length = isIpv6 ? COMPACT_IPV6_BYTES : COMPACT_IPV4_BYTES;
  const wanted = isIpv6 ? Flag.Ipv6 : 0;
  let end = at;
  for (let place = 0; place < pickedCount; place += 1) {
    const peer = picked[place] as number;
    if (((flags[peer] as number) & Flag.Ipv6) !== wanted) continue;
    const start = peer * COMPACT_IPV6_BYTES;
    for (let byte = 0; byte < length; byte += 1) scratch[end + byte] = compact[start + byte] as number;
    end += length;
  }
  return end;
}

function countIpv6(table: PeerTable, { picked, pickedCount }: Announced): number {
  let count = 0;
  for (let place = 0; place < pickedCount; place += 1)
    if (table.has(picked[place] as number, Flag.Ipv6)) count += 1;
  return count;
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

/**
 * Hot: the answer to an announce, compact (BEP 23, BEP 7) or as a list (BEP 3).
 *
 * @returns one char a byte: as a string it goes out in one write with the headers of HTTP
 */
export function announceReply(
  table: PeerTable,
  announced: Announced,
  { intervalSeconds, minIntervalSeconds }: Intervals,
  form: { readonly compact: boolean; readonly omitPeerIds: boolean },
): string {
  const { seeders, leechers, completed } = announced.counts;
  const head =
    `d8:completei${seeders}e10:downloadedi${completed}e10:incompletei${leechers}e` +
    `8:intervali${intervalSeconds}e12:min intervali${minIntervalSeconds}e`;
  if (!form.compact) return `${head}${listedPeers(table, announced, form.omitPeerIds)}e`;
  const ipv6 = countIpv6(table, announced);
  const ipv4Bytes = (announced.pickedCount - ipv6) * COMPACT_IPV4_BYTES;
  if (ipv6 === 0) {
    const end = writeCompact(table, announced, false, 0);
    return `${head}5:peers${ipv4Bytes}:${scratch.toString('latin1', 0, end)}e`;
  }
  const middle = writeCompact(table, announced, false, 0);
  const end = writeCompact(table, announced, true, middle);
  const addresses6 = scratch.toString('latin1', middle, end);
  return `${head}5:peers${ipv4Bytes}:${scratch.toString('latin1', 0, middle)}6:peers6${end - middle}:${addresses6}e`;
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
