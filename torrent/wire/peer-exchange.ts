// Messages of ut_pex (BEP 11). Invariant: a parsed message has at most MAX_EXCHANGED addresses of each kind, whatever
// the peer sent; whether they are good for anything is decided elsewhere.
import ipaddr from 'ipaddr.js';
import { type BencodeValue, decodeBencodePrefix, encodeBencode, isDictionary } from '../bencode.ts';

/** The name under BEP 10. */
export const EXCHANGE_EXTENSION = 'ut_pex';

/** Addresses of one message, added and dropped each (BEP 11). */
export const MAX_EXCHANGED = 50;

/** Flags of an address (BEP 11). */
const SEED_FLAG = 0x02;
const REACHABLE_FLAG = 0x10;

const IPV4_BYTES = 6;
const IPV6_BYTES = 18;

/** A peer that is told of. */
export interface ExchangedPeer {
  readonly host: string;
  readonly port: number;
  /** It has everything. */
  readonly isSeed?: boolean;
  /** It was dialled there. */
  readonly isReachable?: boolean;
}

/** What changed since the last message. */
export interface PeerExchange {
  added: readonly ExchangedPeer[];
  dropped: readonly ExchangedPeer[];
}

function compact({ host, port }: ExchangedPeer): Buffer {
  return Buffer.from([...ipaddr.process(host).toByteArray(), port >>> 8, port & 0xff]);
}

function split(peers: readonly ExchangedPeer[]): { ipv4: ExchangedPeer[]; ipv6: ExchangedPeer[] } {
  const addresses = peers.filter(({ host }) => ipaddr.isValid(host)).slice(0, MAX_EXCHANGED);
  const isIpv4 = ({ host }: ExchangedPeer) => ipaddr.process(host).kind() === 'ipv4';
  return { ipv4: addresses.filter(isIpv4), ipv6: addresses.filter((peer) => !isIpv4(peer)) };
}

function flags(peers: readonly ExchangedPeer[]): Buffer {
  return Buffer.from(
    peers.map(({ isSeed, isReachable }) => (isSeed ? SEED_FLAG : 0) | (isReachable ? REACHABLE_FLAG : 0)),
  );
}

/** The payload; what has no address is left out, and what is beyond MAX_EXCHANGED. */
export function encodePeerExchange(exchange: PeerExchange): Buffer {
  const added = split(exchange.added);
  const dropped = split(exchange.dropped);
  return encodeBencode({
    added: Buffer.concat(added.ipv4.map(compact)),
    'added.f': flags(added.ipv4),
    added6: Buffer.concat(added.ipv6.map(compact)),
    'added6.f': flags(added.ipv6),
    dropped: Buffer.concat(dropped.ipv4.map(compact)),
    dropped6: Buffer.concat(dropped.ipv6.map(compact)),
  });
}

/** The first entries of a list; an incomplete one at its end is left out. */
function expand(
  list: BencodeValue | undefined,
  entryBytes: number,
  flagList?: BencodeValue,
): ExchangedPeer[] {
  if (!Buffer.isBuffer(list)) return [];
  const peers: ExchangedPeer[] = [];
  for (let at = 0; at + entryBytes <= list.length && peers.length < MAX_EXCHANGED; at += entryBytes) {
    const bytes = [...list.subarray(at, at + entryBytes - 2)];
    const host = ipaddr.process(ipaddr.fromByteArray(bytes).toString()).toString();
    const flag = Buffer.isBuffer(flagList) ? (flagList[peers.length] ?? 0) : 0;
    peers.push({
      host,
      port: list.readUInt16BE(at + entryBytes - 2),
      isSeed: (flag & SEED_FLAG) !== 0,
      isReachable: (flag & REACHABLE_FLAG) !== 0,
    });
  }
  return peers;
}

/** Reads a message. Of repeated keys the first counts: addresses are hints. @throws TorrentError InvalidBencode. */
export function parsePeerExchange(payload: Uint8Array): PeerExchange {
  const { value } = decodeBencodePrefix(payload, { repeatedKeys: 'first' });
  if (!isDictionary(value)) return { added: [], dropped: [] };
  return {
    added: [
      ...expand(value.added, IPV4_BYTES, value['added.f']),
      ...expand(value.added6, IPV6_BYTES, value['added6.f']),
    ].slice(0, MAX_EXCHANGED),
    dropped: [...expand(value.dropped, IPV4_BYTES), ...expand(value.dropped6, IPV6_BYTES)],
  };
}
