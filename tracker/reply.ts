/**
 * Answers to announce and scrape, bencoded. Written out by hand rather than through an encoder of any value: the
 * shape is fixed, keys must be in order, and an announce is answered thousands of times a second.
 */
import type { Intervals } from './intervals.ts';
import { COMPACT_IPV4_BYTES } from './peer-address.ts';
import type { Peer, SwarmCounts } from './swarm.ts';

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

function compactPeers(peers: readonly Peer[]): Buffer[] {
  const ipv4: Buffer[] = [];
  const ipv6: Buffer[] = [];
  for (const { address } of peers)
    (address.compact.length === COMPACT_IPV4_BYTES ? ipv4 : ipv6).push(address.compact);
  const addresses4 = Buffer.concat(ipv4);
  const parts = [Buffer.from(`5:peers${addresses4.length}:`), addresses4];
  if (ipv6.length > 0) {
    const addresses6 = Buffer.concat(ipv6);
    parts.push(Buffer.from(`6:peers6${addresses6.length}:`), addresses6);
  }
  return parts;
}

function listedPeers(peers: readonly Peer[], omitPeerIds: boolean): Buffer[] {
  const parts: Buffer[] = [Buffer.from('5:peersl')];
  for (const { address, peerId } of peers) {
    parts.push(Buffer.from(`d2:ip${text(address.host)}`));
    if (!omitPeerIds) parts.push(Buffer.from('7:peer id20:'), peerId);
    parts.push(Buffer.from(`4:porti${address.port}ee`));
  }
  parts.push(Buffer.from('e'));
  return parts;
}

/** The answer to an announce: compact (BEP 23, BEP 7) or as a list (BEP 3). */
export function announceReply(
  counts: SwarmCounts,
  { intervalSeconds, minIntervalSeconds }: Intervals,
  peers: readonly Peer[],
  form: { readonly compact: boolean; readonly omitPeerIds: boolean },
): Buffer {
  const head =
    `d8:completei${counts.seeders}e10:downloadedi${counts.completed}e10:incompletei${counts.leechers}e` +
    `8:intervali${intervalSeconds}e12:min intervali${minIntervalSeconds}e`;
  return Buffer.concat([
    Buffer.from(head),
    ...(form.compact ? compactPeers(peers) : listedPeers(peers, form.omitPeerIds)),
    Buffer.from('e'),
  ]);
}

/**
 * The answer to a scrape (BEP 48).
 *
 * @param files counts by info hash in hex
 */
export function scrapeReply(
  files: ReadonlyMap<string, SwarmCounts>,
  minRequestIntervalSeconds: number,
): Buffer {
  const parts = [Buffer.from('d5:filesd')];
  for (const infoHash of [...files.keys()].sort()) {
    const { seeders, leechers, completed } = files.get(infoHash) as SwarmCounts;
    parts.push(
      Buffer.from('20:'),
      Buffer.from(infoHash, 'hex'),
      Buffer.from(`d8:completei${seeders}e10:downloadedi${completed}e10:incompletei${leechers}ee`),
    );
  }
  parts.push(Buffer.from(`e5:flagsd20:min_request_intervali${minRequestIntervalSeconds}eee`));
  return Buffer.concat(parts);
}
