// The ingest protocol over HTTP, against a whole agent.
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ingestPath } from '../../../api/index.ts';
import { until } from '../../base/until.ts';
import { FakeCluster, OTHER_UID, POD_UID, reservationOf, tokenOf, UID } from '../fake-cluster.ts';
import { closeTestAgents, openTestAgent, reserveOn, type TestAgent, TestPublisher } from '../harness.ts';

afterEach(closeTestAgents);

async function reservedAgent(changes: Parameters<typeof reservationOf>[0] = {}): Promise<TestAgent> {
  const agent = await openTestAgent(new FakeCluster('a'));
  await reserveOn(agent, reservationOf(changes));
  return agent;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const publication = ({ cluster }: TestAgent) => cluster.status?.publishing?.[0];

describe('who may stream', () => {
  test('nobody without a token, or with one that the API server does not know', async () => {
    const { url } = await reservedAgent();
    const plain = await fetch(url + ingestPath.status(UID, 1));
    expect(plain.status).toBe(401);
    expect(await plain.json()).toMatchObject({ code: 'Unauthenticated' });
    const { status, body } = await new TestPublisher(url, { token: 'forged' }).plan([{}]);
    expect([status, body.code]).toEqual([401, 'Unauthenticated']);
  });

  test('nobody with a token for another audience, or that is of no Pod', async () => {
    const { url, cluster } = await reservedAgent();
    cluster.tokens.set('audience', { ...tokenOf('ml', POD_UID), audiences: ['https://kubernetes.default'] });
    cluster.tokens.set('person', { ...tokenOf('ml', POD_UID), username: 'jane' });
    const { extra: _, ...podless } = tokenOf('ml', POD_UID);
    cluster.tokens.set('podless', podless);
    for (const token of ['audience', 'person', 'podless'])
      expect((await new TestPublisher(url, { token }).status()).status).toBe(401);
  });

  test('not another Pod, also one of that namespace or of that UID elsewhere', async () => {
    const { url, cluster } = await reservedAgent();
    cluster.tokens.set('other', tokenOf('ml', OTHER_UID));
    cluster.tokens.set('elsewhere', tokenOf('web', POD_UID));
    for (const token of ['other', 'elsewhere']) {
      const { status, body } = await new TestPublisher(url, { token }).plan([{}]);
      expect([status, body.code]).toEqual([403, 'WrongPod']);
    }
  });

  test('not without a reservation, or for another attempt', async () => {
    const { url } = await reservedAgent();
    for (const options of [{ uid: OTHER_UID }, { attempt: 2 }]) {
      const { status, body } = await new TestPublisher(url, options).plan([{}]);
      expect([status, body.code]).toEqual([404, 'NoReservation']);
    }
  });

  test('not before the reservation names its Pod; afterwards yes', async () => {
    const { podUID: _, ...unnamed } = reservationOf();
    const agent = await openTestAgent(new FakeCluster('a'));
    await reserveOn(agent, unnamed);
    const publisher = new TestPublisher(agent.url);
    expect((await publisher.plan([{}])).body.code).toBe('ReservationPending');
    await reserveOn(agent, reservationOf());
    expect((await publisher.plan([{}])).status).toBe(200);
  });

  test('a token is asked about once a minute, and a failure of the API server is no refusal for good', async () => {
    const { url, cluster } = await reservedAgent();
    cluster.reviewsFail = true;
    const publisher = new TestPublisher(url);
    expect((await publisher.status()).body.code).toBe('Unavailable');
    cluster.reviewsFail = false;
    for (let call = 0; call < 5; call++) expect((await publisher.status()).status).toBe(200);
    expect(cluster.reviews).toBe(2);
  });
});

describe('a plan', () => {
  test.each([
    ['a way out', '../../etc/passwd', 'parts that are empty, "." or ".."'],
    ['an absolute path', '/etc/passwd', 'relative'],
    ['an empty part', 'a//b', 'parts that are empty'],
    ['a part of a dot', 'a/./b', 'parts that are empty'],
    ['a backslash', 'a\\b', 'backslashes'],
    ['a NUL', 'a\u0000b', 'control characters'],
    ['a part that is too long', 'x'.repeat(256), 'at most 255 bytes'],
    ['half a character', '\ud800', 'well-formed'],
  ])('with %s in it is refused, and nothing is written', async (_, path, message) => {
    const { url, root } = await reservedAgent();
    const { status, body } = await new TestPublisher(url).plan([{ path }]);
    expect([status, body.code]).toEqual([400, 'InvalidRequest']);
    expect(body.message).toContain(message);
    await expect(readFile(join(root, 'staging', 'ingest', UID))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each([
    ['twice the same path', [{ path: 'a' }, { path: 'a' }], 'only once'],
    ['a file that is a folder', [{ path: 'a' }, { path: 'a/b' }], 'must not be a file'],
    ['another order', [{ path: 'b' }, { path: 'a' }], 'byte order'],
  ])('with %s is refused', async (_, files, message) => {
    const { url } = await reservedAgent();
    const { status, body } = await new TestPublisher(url).plan(files);
    expect(status).toBe(400);
    expect(body.message).toContain(message);
  });

  test('of another source than the reservation’s is refused', async () => {
    const { url } = await reservedAgent();
    const { status, body } = await new TestPublisher(url).plan([{}], 'f'.repeat(16));
    expect([status, body.code]).toEqual([400, 'InvalidRequest']);
    expect(body.message).toContain('another source');
  });

  test('over the size limit is refused before a byte comes', async () => {
    const { url } = await reservedAgent({ sizeLimit: 1024 });
    const { status, body } = await new TestPublisher(url).plan([{ sizeBytes: 1025 }]);
    expect([status, body.code]).toEqual([413, 'SizeLimitExceeded']);
    expect(body.message).toBe('the source has at least 1.0 KiB, and sizeLimit is 1.0 KiB');
  });

  test('that has no room is refused with the numbers, and the status says so', async () => {
    const agent = await reservedAgent();
    agent.cluster.content = {
      ...agent.cluster.content!,
      spec: { ...agent.cluster.content?.spec, storage: { capacity: '1Mi' } },
    };
    agent.agent.clusterChanged();
    const publisher = new TestPublisher(agent.url);
    await until('the metrics show the capacity', async () => {
      const response = await fetch(`${agent.url}/metrics`);
      return /enxame_agent_storage_bytes{kind="capacity"} 1048576/.test(await response.text());
    });
    const { status, body } = await publisher.plan([{ sizeBytes: 5 * 1024 ** 2 }]);
    expect([status, body.code]).toEqual([507, 'InsufficientStorage']);
    expect(body.message).toBe('needs 5.0 MiB, 1.0 MiB free');
    await until('the publication failed', () => publication(agent)?.phase === 'Failed');
    expect(publication(agent)).toMatchObject({ reason: 'InsufficientStorage', message: body.message });
    expect(agent.cluster.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'StorageLow', status: 'True' }),
    );
  });

  test('that is no JSON, or no plan, is refused', async () => {
    const { url } = await reservedAgent();
    for (const text of ['{', '[]', '{"files":[]}', 'null']) {
      const response = await fetch(url + ingestPath.plan(UID, 1), {
        method: 'PUT',
        headers: { authorization: 'Bearer good', 'content-type': 'application/json' },
        body: text,
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'InvalidRequest' });
    }
  });
});

describe('bytes', () => {
  const bytes = randomBytes(300_000);

  test('go on where the agent is, and nowhere else', async () => {
    const publisher = new TestPublisher((await reservedAgent()).url);
    await publisher.plan([{ sizeBytes: bytes.length }]);
    expect((await publisher.put(0, 0, bytes.subarray(0, 100_000))).body.offset).toBe(100_000);
    for (const wrong of [0, 99_999, 100_001]) {
      const { status, body } = await publisher.put(0, wrong, bytes.subarray(wrong));
      expect([status, body.code, body.offset]).toEqual([409, 'OffsetMismatch', 100_000]);
    }
    await publisher.put(0, 100_000, bytes.subarray(100_000));
    expect((await publisher.finishFile(0, bytes.length)).body.sha256).toBe(sha256(bytes));
  });

  test('that came before the connection broke are kept', async () => {
    const agent = await reservedAgent();
    const publisher = new TestPublisher(agent.url);
    await publisher.plan([{ sizeBytes: bytes.length }]);
    const url = new URL(`${agent.url}${ingestPath.file(UID, 1, 0)}?offset=0`);
    const call = request(url, {
      method: 'PUT',
      headers: {
        authorization: 'Bearer good',
        'content-type': 'application/octet-stream',
        'content-length': bytes.length,
      },
    });
    call.on('error', () => {});
    call.write(bytes.subarray(0, 150_000));
    const have = async () => {
      const { body } = await publisher.put(0, Number.MAX_SAFE_INTEGER, Buffer.alloc(1));
      return body.offset ?? 0;
    };
    await until('the first bytes are written', () => agent.agent.ingest.writtenBytes === 150_000);
    call.destroy();
    await until('the agent says that it has them', async () => (await have()) === 150_000);
    await publisher.put(0, 150_000, bytes.subarray(150_000));
    expect((await publisher.finishFile(0, bytes.length)).body.sha256).toBe(sha256(bytes));
    expect(agent.logger.lines.filter((line) => line.includes(' error '))).toEqual([]);
  });

  test('more than was declared are refused', async () => {
    const publisher = new TestPublisher((await reservedAgent()).url);
    await publisher.plan([{ sizeBytes: 10 }]);
    const { status, body } = await publisher.put(0, 0, bytes.subarray(0, 11));
    expect([status, body.message]).toEqual([400, 'file was to have 10 bytes and has more']);
  });

  test('fewer than was declared are no file', async () => {
    const publisher = new TestPublisher((await reservedAgent()).url);
    await publisher.plan([{ sizeBytes: 10 }]);
    await publisher.put(0, 0, bytes.subarray(0, 9));
    expect((await publisher.finishFile(0, 9)).body.message).toBe(
      'file was to have 10 bytes and ends after 9',
    );
    expect((await publisher.finishFile(0, 10)).body).toMatchObject({ code: 'OffsetMismatch', offset: 9 });
  });

  test('of another checksum than declared are thrown away', async () => {
    const publisher = new TestPublisher((await reservedAgent()).url);
    await publisher.plan([{ sizeBytes: bytes.length, sha256: 'ab'.repeat(32) }]);
    await publisher.put(0, 0, bytes);
    const { status, body } = await publisher.finishFile(0, bytes.length);
    expect([status, body.code]).toEqual([422, 'ChecksumMismatch']);
    expect(body.message).toBe(`file has the SHA-256 ${sha256(bytes)}, and ${'ab'.repeat(32)} is declared`);
    expect((await publisher.put(0, 1, bytes.subarray(1))).body.offset).toBe(0);
  });

  test('beyond the size limit are refused, also where only some files state their size', async () => {
    const publisher = new TestPublisher((await reservedAgent({ sizeLimit: 200_000 })).url);
    await publisher.plan([
      { path: 'a', sizeBytes: null },
      { path: 'b', sizeBytes: 100_000 },
    ]);
    const { status, body } = await publisher.put(0, 0, bytes.subarray(0, 150_000));
    expect([status, body.code]).toEqual([413, 'SizeLimitExceeded']);
  });

  test('are refused before there is a plan, and for a file that it lacks', async () => {
    const publisher = new TestPublisher((await reservedAgent()).url);
    expect((await publisher.put(0, 0, bytes)).body.message).toBe('the plan has no file 0');
    await publisher.plan([{}]);
    expect((await publisher.put(1, 0, bytes)).body.message).toBe('the plan has no file 1');
    expect((await publisher.finish()).body).toMatchObject({
      code: 'WrongPhase',
      message: 'file is not complete',
    });
  });
});

describe('what is kept', () => {
  const files = [
    { path: 'a', bytes: randomBytes(200_000) },
    { path: 'b', bytes: randomBytes(150_000) },
  ];
  const plan = files.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length }));
  const [a, b] = files as [(typeof files)[0], (typeof files)[0]];

  async function halfWay(agent: TestAgent): Promise<void> {
    const publisher = new TestPublisher(agent.url);
    await publisher.plan(plan);
    await publisher.put(0, 0, a.bytes);
    await publisher.finishFile(0, a.bytes.length);
    await publisher.put(1, 0, b.bytes.subarray(0, 70_000));
  }

  async function finishWith(publisher: TestPublisher, offset: number): Promise<void> {
    await publisher.put(1, offset, b.bytes.subarray(offset));
    await publisher.finishFile(1, b.bytes.length);
    expect((await publisher.finish()).status).toBe(202);
    await until(
      'the publisher is told that it is published',
      async () => (await publisher.status()).body.phase === 'Published',
    );
  }

  test('by another publisher Pod of another attempt', async () => {
    const agent = await reservedAgent();
    await halfWay(agent);
    await reserveOn(agent, reservationOf({ attempt: 2 }));
    const publisher = new TestPublisher(agent.url, { attempt: 2 });
    expect((await publisher.plan(plan)).body.files).toEqual([
      { offset: 200_000, complete: true },
      { offset: 70_000, complete: false },
    ]);
    await finishWith(publisher, 70_000);
    await until('it is published', () => publication(agent)?.phase === 'Published');
    expect(publication(agent)).toMatchObject({ attempt: 2, files: 2, sizeBytes: 350_000 });
  });

  test('by a restart of the agent, which makes the same revision of it', async () => {
    const first = await reservedAgent();
    await halfWay(first);
    const { cluster, root } = first;
    await first.agent.close();
    const agent = await openTestAgent(cluster, { root });
    await until(
      'the status shows that it is received',
      () => cluster.status?.publishing?.[0]?.phase === 'Receiving',
    );
    const publisher = new TestPublisher(agent.url);
    expect((await publisher.plan(plan)).body.files).toEqual([
      { offset: 200_000, complete: true },
      { offset: 70_000, complete: false },
    ]);
    await finishWith(publisher, 70_000);
    const { digest } = (await publisher.status()).body;

    const straight = await openTestAgent(new FakeCluster('b'));
    await reserveOn(straight, reservationOf());
    await new TestPublisher(straight.url).publish(files.map((file) => ({ ...file })));
    expect((await new TestPublisher(straight.url).status()).body.digest).toBe(digest);
    await until(
      'both are published',
      () => publication(agent)?.phase === 'Published' && publication(straight)?.phase === 'Published',
    );
    expect(publication(agent)?.infoHash).toBe(publication(straight)?.infoHash);
    // It is the manifest of the files, as anybody can make it.
    const lines = files.map(({ path, bytes }) => `${sha256(bytes)} ${bytes.length} - ${path}\n`).join('');
    expect(digest).toBe(`sha256:${sha256(Buffer.from(`enxame-manifest/1\n${lines}`))}`);
  });

  test('not of a file whose validator is another', async () => {
    const agent = await reservedAgent();
    await halfWay(agent);
    const publisher = new TestPublisher(agent.url);
    const [first, second] = plan;
    const answer = await publisher.plan([
      { ...first, validator: 'v2' },
      { ...second, validator: 'v1' },
    ]);
    expect(answer.body.files).toEqual([
      { offset: 0, complete: false },
      { offset: 70_000, complete: false },
    ]);
  });

  test('not for another source, nor without a reservation', async () => {
    const agent = await reservedAgent();
    await halfWay(agent);
    const sourceState = 'f'.repeat(16);
    await reserveOn(agent, reservationOf({ sourceState, attempt: 2 }));
    const publisher = new TestPublisher(agent.url, { attempt: 2 });
    expect((await publisher.plan(plan, sourceState)).body.files?.map(({ offset }) => offset)).toEqual([0, 0]);
    await publisher.put(0, 0, a.bytes);
    agent.cluster.reserve();
    agent.agent.clusterChanged();
    await until('what was written is gone', () => agent.agent.ingest.writtenBytes === 0);
    await expect(readFile(join(agent.root, 'staging', 'ingest', UID, 'a'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect((await publisher.status()).body.code).toBe('NoReservation');
  });
});

test('a failure of the source stands in the status, and another attempt goes on', async () => {
  const agent = await reservedAgent();
  const publisher = new TestPublisher(agent.url);
  await publisher.plan([{ sizeBytes: 10 }]);
  await publisher.put(0, 0, Buffer.from('12345'));
  await publisher.fail('SourceServerError', 'the source answered 500');
  await until('the publication failed', () => publication(agent)?.phase === 'Failed');
  expect(publication(agent)).toMatchObject({
    reason: 'SourceServerError',
    message: 'the source answered 500',
  });
  expect((await publisher.plan([{ sizeBytes: 10 }])).body).toMatchObject({
    code: 'WrongPhase',
    message: 'the publication is Failed: the source answered 500',
  });
  await reserveOn(agent, reservationOf({ attempt: 2 }));
  const next = new TestPublisher(agent.url, { attempt: 2 });
  expect((await next.plan([{ sizeBytes: 10 }])).body.files).toEqual([{ offset: 5, complete: false }]);
  await until('it is received', () => publication(agent)?.phase === 'Receiving');
  expect(publication(agent)?.reason).toBeUndefined();
});

test('files that do not state their size are published all the same', async () => {
  const agent = await reservedAgent();
  const publisher = new TestPublisher(agent.url);
  const bytes = randomBytes(500_000);
  await publisher.plan([{ path: 'unknown', sizeBytes: null }]);
  await publisher.put(0, 0, bytes);
  await publisher.finishFile(0, bytes.length);
  await publisher.finish();
  await until('it is published', () => publication(agent)?.phase === 'Published');
  const revision = publication(agent)?.digest?.slice(7, 19) ?? '';
  const published = await readFile(join(agent.root, 'content', UID, revision, 'unknown'));
  expect(published.equals(bytes)).toBe(true);
});
