// Every odd input of this folder, given to the parsers and to the program; README.md says how to add one.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { printable } from '../../cli/terminal/printable.ts';
import { parseAnnounceReply } from '../../torrent/discovery/announce-reply.ts';
import { type Magnet, parseMagnet } from '../../torrent/magnet.ts';
import { type Metainfo, parseMetainfo } from '../../torrent/metainfo.ts';
import { parseExtensionHandshake } from '../../torrent/wire/extension.ts';
import { parseMetadataMessage } from '../../torrent/wire/metadata-message.ts';
import { parsePeerExchange } from '../../torrent/wire/peer-exchange.ts';
import { enxame } from '../cli/enxame-process.ts';
import { failureOf } from '../torrent/failure.ts';

/** Processes that run side by side. */
const PROCESSES = 4;

interface Refused {
  readonly code: string;
  readonly says: string;
}

/** What the JSON beside an input says; see README.md. */
interface Expected {
  readonly about: string;
  readonly accepted?: { readonly [key: string]: unknown };
  readonly refused?: Refused;
  readonly reply?: { readonly [key: string]: unknown };
  readonly refusal?: { readonly [key: string]: unknown };
  readonly handshake?: { readonly [key: string]: unknown };
  readonly message?: { readonly [key: string]: unknown } | null;
  readonly added?: unknown;
  readonly dropped?: unknown;
  readonly error?: string | Refused;
}

interface Input {
  readonly name: string;
  readonly path: string;
  readonly bytes: Buffer;
  readonly expected: Expected;
}

const FOLDERS = {
  torrents: 'torrent',
  magnets: 'magnet',
  'tracker-replies': 'reply',
  'extension-messages': 'message',
  'metadata-messages': 'message',
  'peer-exchange': 'message',
} as const;

type Folder = keyof typeof FOLDERS;

const pathOf = (...path: string[]) => join(import.meta.dirname, ...path);

/** The inputs of a folder. */
function inputsOf(folder: Folder): Input[] {
  const extension = `.${FOLDERS[folder]}`;
  return readdirSync(pathOf(folder))
    .filter((file) => file.endsWith(extension))
    .map((file) => {
      const name = file.slice(0, -extension.length);
      const path = pathOf(folder, file);
      const expected: Expected = JSON.parse(readFileSync(pathOf(folder, `${name}.json`), 'utf8'));
      return { name, path, bytes: readFileSync(path), expected };
    });
}

/** For test.each. */
const named = (folder: Folder) => inputsOf(folder).map((input) => [input.name, input] as const);

describe.each(Object.entries(FOLDERS))('%s', (folder, extension) => {
  const files = readdirSync(pathOf(folder));

  test('each input has its data, each data its input, and nothing else lies there', () => {
    const namesOf = (end: string) =>
      files.filter((file) => file.endsWith(end)).map((file) => file.slice(0, -end.length));
    expect(namesOf('.json')).toEqual(namesOf(`.${extension}`));
    expect(files).toHaveLength(2 * namesOf('.json').length);
    expect(files.length).toBeGreaterThan(0);
  });

  test('each data says what is odd, and one outcome', () => {
    const outcomes: readonly string[] = [
      'accepted',
      'refused',
      'reply',
      'refusal',
      'handshake',
      'message',
      'added',
      'error',
    ];
    for (const { name, expected } of inputsOf(folder as Folder)) {
      const { about, dropped, ...rest } = expected;
      expect([name, about.length > 0, Object.keys(rest).length]).toEqual([name, true, 1]);
      expect(outcomes).toContain(Object.keys(rest)[0]);
      expect([name, dropped === undefined]).toEqual([name, expected.added === undefined]);
    }
  });
});

function expectRefusal(work: () => unknown, { code, says }: Refused): void {
  const error = failureOf(work);
  expect([error.code, error.message]).toEqual([code, expect.stringContaining(says)]);
}

/** Fields that are `null` in the data must be absent. */
function withoutNulls(fields: { readonly [key: string]: unknown }): object {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, value ?? undefined]));
}

const addresses = (peers: readonly { host: string; port: number }[]) =>
  peers.map(({ host, port }) => [host, port]);

/** What of a torrent the data may say, as the parser gives it. */
function torrentFields(metainfo: Metainfo): { [key: string]: unknown } {
  return {
    infoHash: metainfo.infoHashHex,
    files: metainfo.files
      .filter(({ padding }) => !padding)
      .map(({ path, lengthBytes }) => [path.join('/'), lengthBytes]),
    ignored: metainfo.ignored,
    name: metainfo.name,
    bytes: metainfo.totalBytes,
    pieceLength: metainfo.pieceLength,
    pieces: metainfo.pieceCount,
    private: metainfo.isPrivate,
    trackers: metainfo.announceList,
    webSeeds: metainfo.webSeeds,
    comment: metainfo.comment,
    version: metainfo.version,
  };
}

function magnetFields(magnet: Magnet): { [key: string]: unknown } {
  const { infoHashHex, name, trackers, webSeeds, peers, ignored } = magnet;
  return { infoHash: infoHashHex, name, trackers, webSeeds, peers: addresses(peers), ignored };
}

/** Compares what came with what the data says; each of `ignored` is a part of a line. */
function expectFields(
  fields: { [key: string]: unknown },
  accepted: { readonly [key: string]: unknown },
): void {
  const wanted = {
    ...accepted,
    ignored: (accepted.ignored as string[]).map((part) => expect.stringContaining(part)),
  };
  for (const key of Object.keys(wanted)) expect(Object.keys(fields)).toContain(key);
  const said = Object.fromEntries(Object.keys(wanted).map((key) => [key, fields[key]]));
  expect(said).toEqual(wanted);
}

describe('parsers', () => {
  test.each(named('torrents'))('torrents/%s', (_, { bytes, expected }) => {
    if (expected.refused !== undefined) expectRefusal(() => parseMetainfo(bytes), expected.refused);
    else expectFields(torrentFields(parseMetainfo(bytes)), expected.accepted ?? {});
  });

  test.each(named('magnets'))('magnets/%s', (_, { bytes, expected }) => {
    const link = bytes.toString('utf8');
    if (expected.refused !== undefined) expectRefusal(() => parseMagnet(link), expected.refused);
    else expectFields(magnetFields(parseMagnet(link)), expected.accepted ?? {});
  });

  test.each(named('tracker-replies'))('tracker-replies/%s', (_, { bytes, expected }) => {
    if (typeof expected.error === 'string') {
      expectRefusal(() => parseAnnounceReply(bytes), { code: 'InvalidTrackerReply', says: expected.error });
      return;
    }
    const parsed = parseAnnounceReply(bytes);
    const wanted = expected.reply ?? expected.refusal ?? {};
    const fields: { [key: string]: unknown } =
      parsed.kind === 'reply' ? { ...parsed, peers: addresses(parsed.peers) } : { ...parsed };
    if (fields.retryInSeconds === Number.POSITIVE_INFINITY) fields.retryInSeconds = 'never';
    expect(parsed.kind).toBe(expected.reply === undefined ? 'refusal' : 'reply');
    const said = Object.fromEntries(Object.keys(wanted).map((key) => [key, fields[key]]));
    expect(said).toEqual(withoutNulls(wanted));
    // What is left out is always said, and nothing is said where nothing is.
    if (wanted.leftOut === undefined) expect(fields.leftOut).toBeUndefined();
  });

  test.each(named('extension-messages'))('extension-messages/%s', (_, { bytes, expected }) => {
    if (expected.error !== undefined) {
      expectRefusal(() => parseExtensionHandshake(bytes), expected.error as Refused);
      return;
    }
    const wanted = expected.handshake ?? {};
    const parsed = parseExtensionHandshake(bytes);
    const fields: { [key: string]: unknown } = { ...parsed, ids: [...parsed.ids].sort() };
    const said = Object.fromEntries(Object.keys(wanted).map((key) => [key, fields[key]]));
    const ids = wanted.ids === undefined ? {} : { ids: Object.entries(wanted.ids as object).sort() };
    expect(said).toEqual({ ...withoutNulls(wanted), ...ids });
  });

  test.each(named('metadata-messages'))('metadata-messages/%s', (_, { bytes, expected }) => {
    if (expected.error !== undefined) {
      expectRefusal(() => parseMetadataMessage(bytes), expected.error as Refused);
      return;
    }
    const parsed = parseMetadataMessage(bytes);
    const data = parsed?.kind === 'data' ? { data: Buffer.from(parsed.data).toString('latin1') } : {};
    expect(parsed === undefined ? null : { ...parsed, ...data }).toEqual(expected.message);
  });

  test.each(named('peer-exchange'))('peer-exchange/%s', (_, { bytes, expected }) => {
    if (expected.error !== undefined) {
      expectRefusal(() => parsePeerExchange(bytes), expected.error as Refused);
      return;
    }
    const { added, dropped } = parsePeerExchange(bytes);
    expect([addresses(added), addresses(dropped)]).toEqual([expected.added, expected.dropped]);
  });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `enxame inspect --json` on each, a few side by side in their order: the outcome by name. */
function inspectAll(
  inputs: readonly (readonly [string, string])[],
): Map<string, PromiseWithResolvers<Ended>> {
  const outcomes = new Map(inputs.map(([name]) => [name, Promise.withResolvers<Ended>()]));
  const waiting = [...inputs];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      outcomes.get(next[0])?.resolve(await enxame(['inspect', '--json', next[1]]).ended);
  };
  for (let i = 0; i < PROCESSES; i++) void work();
  return outcomes;
}

/** The only line of a text, which must do no harm in a terminal. */
function oneLine(text: string): string {
  const [line = '', ...rest] = text.split('\n');
  expect(rest).toEqual(['']);
  expect(line).toBe(printable(line));
  return line;
}

/** What is left out is one line on stderr, in its order; nothing is no line. */
function expectWarning(stderr: string, what: string, ignored: readonly string[]): void {
  if (ignored.length === 0) {
    expect(stderr).toBe('');
    return;
  }
  const line = oneLine(stderr);
  expect(line.startsWith(`enxame inspect: left out of the ${what}: `)).toBe(true);
  const places = ignored.map((part) => line.indexOf(part));
  expect(places.every((place) => place > 0)).toBe(true);
  expect([...places].sort((a, b) => a - b)).toEqual(places);
}

function expectRefused({ code, stdout, stderr }: Ended, { says }: Refused): void {
  expect([code, stdout]).toEqual([2, '']);
  const line = oneLine(stderr);
  expect(line.startsWith('enxame inspect: ')).toBe(true);
  expect(line).toContain(says);
}

describe('enxame inspect', () => {
  let outcomes: ReturnType<typeof inspectAll>;

  beforeAll(() => {
    outcomes = inspectAll([
      ...inputsOf('torrents').map(({ name, path }) => [`torrents/${name}`, path] as const),
      ...inputsOf('magnets').map(
        ({ name, bytes }) => [`magnets/${name}`, bytes.toString('utf8').trim()] as const,
      ),
    ]);
  });

  const outcomeOf = async (name: string) => (await outcomes.get(name)?.promise) as Ended;

  test.each(named('torrents'))('torrents/%s', async (name, { expected }) => {
    const outcome = await outcomeOf(`torrents/${name}`);
    if (expected.refused !== undefined) {
      expectRefused(outcome, expected.refused);
      return;
    }
    const { ignored, ...accepted } = expected.accepted ?? {};
    expect(outcome.code).toBe(0);
    expectWarning(outcome.stderr, 'torrent', ignored as string[]);
    const printed = JSON.parse(outcome.stdout) as {
      files: { path: string; bytes: number }[];
      magnet?: string;
    };
    const fields: { [key: string]: unknown } = {
      ...printed,
      files: printed.files.map(({ path, bytes }) => [path, bytes]),
    };
    expect(Object.fromEntries(Object.keys(accepted).map((key) => [key, fields[key]]))).toEqual(accepted);
    // The link that it prints is one that it takes.
    if (printed.magnet !== undefined)
      expect(parseMagnet(printed.magnet)).toMatchObject({ infoHashHex: accepted.infoHash, ignored: [] });
  });

  test.each(named('magnets'))('magnets/%s', async (name, { expected }) => {
    const outcome = await outcomeOf(`magnets/${name}`);
    if (expected.refused !== undefined) {
      expectRefused(outcome, expected.refused);
      return;
    }
    const { ignored, trackers, peers, ...accepted } = expected.accepted ?? {};
    expect(outcome.code).toBe(0);
    expectWarning(outcome.stderr, 'link', ignored as string[]);
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      ...accepted,
      trackers: (trackers as string[]).map((url) => [url]),
      peers: (peers as [string, number][]).map(([host, port]) => ({ host, port })),
    });
  });
});
