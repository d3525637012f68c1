// Metainfo that is not that of the revision is refused, whoever sends it; and how it is asked for.
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { describe as describeContent } from '../../../agent/ingest/describe.ts';
import { checkMetainfo } from '../../../agent/revisions/check-metainfo.ts';
import { fetchMetainfo } from '../../../agent/revisions/fetch-metainfo.ts';
import type { Target } from '../../../agent/revisions/target.ts';
import { Trackers } from '../../../agent/revisions/trackers.ts';
import { buildInfoDictionary, encodeMetainfo, parseMetainfo } from '../../../torrent/index.ts';
import { OTHER_UID, UID } from '../fake-cluster.ts';

const FILE = { path: 'file', sizeBytes: 3, executable: false, sha256: 'ab'.repeat(32) };
const PIECES = createHash('sha1').update('abc').digest();
const made = (files = [FILE], uid = UID) => describeContent({ uid, name: 'model' }, files, PIECES);

function targetOf({ result }: ReturnType<typeof made>, changes: Partial<Target> = {}): Target {
  const { revision, infoHash, digest, sizeBytes } = result;
  return { uid: UID, revision, infoHash, digest, sizeBytes, ...changes };
}

describe('checking', () => {
  const good = made();

  test('passes what was published', () => {
    expect(checkMetainfo(good.metainfoBytes, targetOf(good)).totalBytes).toBe(3);
  });

  test.each<[string, Uint8Array, Target, string]>([
    [
      'another info hash',
      made([{ ...FILE, executable: true }]).metainfoBytes,
      targetOf(good),
      'it has the info hash',
    ],
    [
      'another distribution',
      made([FILE], OTHER_UID).metainfoBytes,
      targetOf(made([FILE], OTHER_UID)),
      'not made by an agent for this distribution',
    ],
    ['another size', good.metainfoBytes, targetOf(good, { sizeBytes: 4 }), '3 bytes of content instead of 4'],
    ['rubbish', Buffer.from('d8:announcei1ee'), targetOf(good), ''],
    ['nothing', Buffer.alloc(0), targetOf(good), ''],
  ])('refuses %s', (_, bytes, target, message) => {
    expect(() => checkMetainfo(bytes, target)).toThrow(expect.objectContaining({ code: 'MetainfoInvalid' }));
    expect(() => checkMetainfo(bytes, target)).toThrow(message);
  });

  test('refuses files whose manifest has another digest than the revision', () => {
    expect(() =>
      checkMetainfo(good.metainfoBytes, targetOf(good, { digest: `sha256:${'0'.repeat(64)}` })),
    ).toThrow(expect.objectContaining({ code: 'DigestMismatch' }));
  });

  test('refuses what an agent never makes: files without SHA-256, public swarms, other sources', () => {
    const info = (changes: object) =>
      encodeMetainfo({
        info: buildInfoDictionary({
          name: 'model',
          source: `enxame:${UID}`,
          private: true,
          files: [
            { path: 'file', lengthBytes: 3, executable: false, sha256: Buffer.from(FILE.sha256, 'hex') },
          ],
          pieceLength: 65536,
          pieces: PIECES,
          ...changes,
        }),
      });
    const check = (bytes: Uint8Array) => () =>
      checkMetainfo(bytes, targetOf(good, { infoHash: parseMetainfo(bytes).infoHashHex }));
    expect(check(info({}))).not.toThrow();
    expect(check(info({ private: false }))).toThrow('not made by an agent');
    expect(check(info({ source: 'other' }))).toThrow('not made by an agent');
    expect(check(info({ files: [{ path: 'file', lengthBytes: 3, executable: false }] }))).toThrow(
      'file has no SHA-256',
    );
  });
});

describe('fetching', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  async function serve(answer: (path: string) => { status: number; body: Buffer }): Promise<string> {
    const server = createServer((request, response) => {
      const { status, body } = answer(request.url ?? '');
      response.writeHead(status).end(body);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const hash = 'a'.repeat(40);
  const signal = new AbortController().signal;

  test('asks the next tracker where one has nothing or is away', async () => {
    const empty = await serve(() => ({ status: 404, body: Buffer.alloc(0) }));
    const full = await serve((path) => ({ status: 200, body: Buffer.from(path) }));
    const bytes = await fetchMetainfo(['http://127.0.0.1:9', empty, full], hash, signal);
    expect(Buffer.from(bytes).toString()).toBe(`/torrents/${hash}.torrent`);
  });

  test('says what each of them answered', async () => {
    const empty = await serve(() => ({ status: 404, body: Buffer.alloc(0) }));
    await expect(fetchMetainfo([empty], hash, signal)).rejects.toMatchObject({
      code: 'MetainfoUnavailable',
      message: expect.stringContaining(`${empty}/torrents/${hash}.torrent answers 404`),
    });
    await expect(fetchMetainfo([], hash, signal)).rejects.toThrow('no tracker is known yet');
  });

  test('reads no more than metainfo may have', async () => {
    const endless = await serve(() => ({ status: 200, body: Buffer.alloc(9 * 1024 * 1024) }));
    await expect(fetchMetainfo([endless], hash, signal)).rejects.toThrow(/sends more than 8388608 bytes/);
  });
});

test('every agent asks the trackers of a swarm in the same order, by stable names', () => {
  const [one, two] = [new Trackers('enxame-system'), new Trackers('enxame-system')];
  one.set(['enxame-tracker-0', 'enxame-tracker-1']);
  two.set(['enxame-tracker-1', 'enxame-tracker-0', 'enxame-tracker-1']);
  const hash = 'b'.repeat(40);
  expect(one.tiers(hash)).toEqual(two.tiers(hash));
  expect(one.tiers(hash).map((tier) => tier.length)).toEqual([1, 1]);
  expect(one.webServers(hash)[0]).toMatch(/^http:\/\/enxame-tracker-[01]\.enxame-system\.svc:6969$/);
  expect(one.set(['enxame-tracker-1', 'enxame-tracker-0'])).toBe(false);
  expect(one.set(['enxame-tracker-1'])).toBe(true);
});
