// What stands around the info dictionary of a .torrent file: trackers, web seeds, remarks. Invariant: nothing here is a
// reason to refuse a torrent; what is malformed is left out and named.
import { type BencodeValue, decodeBencode, ODD_INTEGER } from '../bencode.ts';
import { isTorrentError } from '../errors.ts';
import type { LeftOut } from './left-out.ts';

/** Values below one key that are built: more trackers than anybody asks. `files` and `file tree` are walked through. */
const MAX_KEY_VALUES = 10_000;

/** The keys that are read, besides `info`. */
export const SIDE_KEYS = [
  'announce',
  'announce-list',
  'comment',
  'created by',
  'creation date',
  'encoding',
  'url-list',
] as const;

/** What a torrent says besides its content. */
export interface Surroundings {
  /** Tracker URLs in tiers (BEP 12); `announce` alone is one tier of one. */
  readonly announceList: readonly (readonly string[])[];
  /** Web seeds (BEP 19). */
  readonly webSeeds: readonly string[];
  readonly comment?: string;
  readonly createdBy?: string;
  /** Seconds since 1970. */
  readonly creationDateSeconds?: number;
}

/** The value of one key; an empty list, which nobody wants, in place of one that is too large to be meant. */
export function keyValue(bytes: Buffer | undefined, key: string, leftOut: LeftOut): BencodeValue | undefined {
  if (bytes === undefined) return undefined;
  try {
    return decodeBencode(bytes, { maxValues: MAX_KEY_VALUES });
  } catch (error) {
    if (!isTorrentError(error, 'InvalidBencode')) throw error;
    leftOut.add(key, `has more than ${MAX_KEY_VALUES} values`);
    return [];
  }
}

/** Text that only people read. */
export function sideText(value: BencodeValue | undefined, key: string, leftOut: LeftOut): string | undefined {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  if (value !== undefined) leftOut.add(key, 'is not a string');
  return undefined;
}

/** The strings of a list, the empty ones dropped; undefined where something else stands among them. */
function textList(list: readonly BencodeValue[]): { strings: string[]; isWhole: boolean } {
  const bytes = list.filter((entry) => Buffer.isBuffer(entry));
  const strings = bytes.map((entry) => entry.toString('utf8').trim()).filter((text) => text !== '');
  return { strings, isWhole: bytes.length === list.length };
}

function readTiers(value: BencodeValue | undefined, leftOut: LeftOut): string[][] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    leftOut.add('announce-list', 'is not a list of lists of strings');
    return [];
  }
  const tiers: string[][] = [];
  let isWhole = true;
  for (const tier of value) {
    const urls = Array.isArray(tier) ? textList(tier) : { strings: [], isWhole: false };
    isWhole &&= urls.isWhole;
    if (urls.strings.length > 0) tiers.push(urls.strings);
  }
  if (!isWhole) leftOut.add('announce-list', 'has entries that are no list of strings');
  return tiers;
}

function readAnnounce(value: BencodeValue | undefined, leftOut: LeftOut): string[][] {
  const url = sideText(value, 'announce', leftOut)?.trim() ?? '';
  return url === '' ? [] : [[url]];
}

function readWebSeeds(value: BencodeValue | undefined, leftOut: LeftOut): string[] {
  if (value === undefined) return [];
  const { strings, isWhole } = textList(Array.isArray(value) ? value : [value]);
  if (!isWhole) leftOut.add('url-list', 'is not a list of strings');
  return strings;
}

function readDate(value: BencodeValue | undefined, leftOut: LeftOut): number | undefined {
  if (typeof value === 'number') return value;
  if (value === ODD_INTEGER) leftOut.add('creation date', 'is an integer that cannot be read');
  else if (value !== undefined) leftOut.add('creation date', 'is not an integer');
  return undefined;
}

/** Reads what is around the info dictionary. */
export function readSurroundings(
  value: (key: string) => BencodeValue | undefined,
  leftOut: LeftOut,
): Surroundings {
  const announce = readAnnounce(value('announce'), leftOut);
  const tiers = readTiers(value('announce-list'), leftOut);
  return {
    // BEP 12: announce-list wins where there is one.
    announceList: tiers.length > 0 ? tiers : announce,
    webSeeds: readWebSeeds(value('url-list'), leftOut),
    comment: sideText(value('comment'), 'comment', leftOut),
    createdBy: sideText(value('created by'), 'created by', leftOut),
    creationDateSeconds: readDate(value('creation date'), leftOut),
  };
}
