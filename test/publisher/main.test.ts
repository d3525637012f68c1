// The publisher as a program: a real web server on one side, the ingest protocol on the other.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { HEADERS_SECRET_KEY, parseTermination, type SourceSpec } from '../../api/index.ts';
import type { Clock } from '../../base/index.ts';
import { type AddressGuard, createAddressGuard, guardedConnector } from '../../publisher/address-guard.ts';
import { runPublisher } from '../../publisher/main.ts';
import { type AgentFaults, ATTEMPT, FakeAgent, UID } from './fake-agent.ts';
import { type Served, WebServer } from './web-server.ts';

// Back-off takes no time here, only counts as if it had; what a test waits for is the network.
let sleptMs = 0;
const clock: Clock = {
  now: () => Date.now() + sleptMs,
  monotonic: () => performance.now() + sleptMs,
  after(milliseconds, callback) {
    sleptMs += milliseconds;
    const soon = setImmediate(callback);
    return () => clearImmediate(soon);
  },
};
const open: AddressGuard = { problem: () => undefined };
/** Loopback is where the test's own server stands; all else is judged as in a cluster. */
const realGuard = createAddressGuard({ deniedCidrs: [], allowedCidrs: [] });

let folder: string;
let web: WebServer;
let agent: FakeAgent;
let logLines: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-publisher-'));
  await writeFile(join(folder, 'token'), 'the-token\n');
  web = await WebServer.start();
  logLines = [];
});

afterEach(async () => {
  await web.stop();
  await agent.stop();
  await rm(folder, { recursive: true });
});

interface RunOptions {
  faults?: AgentFaults;
  env?: Record<string, string>;
  guard?: AddressGuard;
  signal?: AbortSignal;
  prepare?: (agent: FakeAgent) => void;
}

async function run(source: SourceSpec | Record<string, unknown>, options: RunOptions = {}) {
  agent = await FakeAgent.start(options.faults);
  options.prepare?.(agent);
  const log = (fields: object, message: string) => {
    const error = (fields as { err?: Error }).err;
    logLines.push(`${message} ${JSON.stringify(fields)} ${error?.stack ?? ''}`);
  };
  const code = await runPublisher(
    {
      ENXAME_INGEST_URL: agent.url,
      ENXAME_UID: UID,
      ENXAME_ATTEMPT: String(ATTEMPT),
      ENXAME_SOURCE_STATE: '0123456789abcdef',
      ENXAME_SOURCE: JSON.stringify(source),
      ENXAME_SOURCE_STALL_SECONDS: '0.3',
      ...options.env,
    },
    {
      signal: options.signal ?? new AbortController().signal,
      logger: { debug: log, info: log, warn: log, error: log },
      clock,
      random: () => 0.5,
      sourceDispatcher: new Agent({
        connect: guardedConnector(options.guard ?? open, { connectTimeoutMs: 2000 }),
      }),
      tokenPath: join(folder, 'token'),
      terminationLogPath: join(folder, 'termination'),
      headersMountPath: join(folder, 'headers'),
      configMapMountPath: join(folder, 'config-map'),
    },
  );
  const termination = parseTermination(
    await readFile(join(folder, 'termination'), 'utf8').catch(() => undefined),
  );
  return { code, termination, failure: agent.failures[0] };
}

const one = (url: string, extra: object = {}): SourceSpec => ({
  http: { files: [{ path: 'a/file', url, ...extra }] },
});
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('what goes well', () => {
  test('several files arrive byte for byte, in byte order of path, each read once', async () => {
    const contents = { 'b.bin': randomBytes(300_000), 'a/z.bin': randomBytes(1), 'a/empty': Buffer.alloc(0) };
    const files = Object.entries(contents).map(([path, content], index) => ({
      path,
      url: web.serve(`/${index}`, content),
      sha256: sha256(content),
      executable: path === 'b.bin',
    }));
    const { code, termination } = await run({ http: { files } });
    expect(code).toBe(0);
    expect(termination).toBeUndefined();
    for (const [path, content] of Object.entries(contents))
      expect(agent.content(path).equals(content)).toBe(true);
    expect(agent.plans).toHaveLength(1);
    expect(
      agent.plans[0]?.files.map(({ path, executable, sizeBytes }) => [path, executable, sizeBytes]),
    ).toEqual([
      ['a/empty', false, 0],
      ['a/z.bin', false, 1],
      ['b.bin', true, 300_000],
    ]);
    expect(web.sentBytes).toBe(300_001);
    expect(new Set(agent.tokens)).toEqual(new Set(['Bearer the-token']));
  });

  test('a large file passes through without being kept', async () => {
    const content = randomBytes(32 * 1024 * 1024);
    const { code } = await run(one(web.serve('/large', content)));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
    expect(web.sentBytes).toBe(content.length);
  });

  test('a server without HEAD tells its size by the first byte', async () => {
    const content = randomBytes(1000);
    const { code } = await run(one(web.serve('/f', content, { headStatuses: [405] })));
    expect(code).toBe(0);
    expect(agent.plans[0]?.files[0]?.sizeBytes).toBe(1000);
    expect(web.sentBytes).toBe(1001);
  });

  test('a server that says 0 to every HEAD', async () => {
    const content = randomBytes(1000);
    const url = web.serve('/f', content, { headLength: 0 });
    const { code } = await run(one(url));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
  });

  test('an empty file on a server without HEAD', async () => {
    const { code } = await run(one(web.serve('/f', Buffer.alloc(0), { headStatuses: [405] })));
    expect(code).toBe(0);
    expect(agent.plans[0]?.files[0]?.sizeBytes).toBe(0);
  });

  test('a size that is not stated is found by reading, within the limit', async () => {
    const content = randomBytes(50_000);
    const url = web.serve('/f', content, { chunked: true, ignoreRange: true, etag: undefined });
    const { code } = await run({ ...one(url), sizeLimit: '1Mi' }, { env: { ENXAME_SIZE_LIMIT: '1048576' } });
    expect(code).toBe(0);
    expect(agent.plans[0]?.files[0]?.sizeBytes).toBeNull();
    expect(agent.content('a/file').equals(content)).toBe(true);
  });

  test('what an earlier publisher brought is not read again', async () => {
    const content = randomBytes(100_000);
    const url = web.serve('/f', content, { etag: '"v1"' });
    const { code } = await run(one(url), {
      prepare: (fake) => fake.preload('a/file', content.subarray(0, 60_000), 'etag:"v1";size:100000'),
    });
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
    expect(web.sentBytes).toBe(40_000);
    const get = web.requests('GET')[0];
    expect(get?.headers.range).toBe('bytes=60000-');
    expect(get?.headers['if-range']).toBe('"v1"');
  });

  test('a publication that is already being hashed is only waited for', async () => {
    const url = web.serve('/f', randomBytes(10));
    const { code } = await run(one(url), {
      prepare: (fake) => {
        fake.status = { phase: 'Published', digest: `sha256:${'a'.repeat(64)}` };
      },
    });
    expect(code).toBe(0);
    expect(web.seen).toHaveLength(0);
  });
});

describe('a source that fails', () => {
  const cases: [string, Partial<Served> | undefined, string, RegExp][] = [
    ['404', { statuses: [404, 404] }, 'SourceNotFound', /answered 404/],
    ['nothing there', undefined, 'SourceNotFound', /answered 404/],
    ['401', { statuses: [401, 401] }, 'SourceUnauthorized', /answered 401.*headersSecretRef/],
    ['403', { statuses: [403, 403] }, 'SourceUnauthorized', /answered 403/],
    [
      '500 for good',
      { statuses: Array(40).fill(500) },
      'SourceServerError',
      /answered 500, 5 times in a row/,
    ],
    ['418', { statuses: [418, 418] }, 'SourceBadResponse', /answered 418/],
    [
      'an encoding',
      { headers: { 'content-encoding': 'gzip' } },
      'SourceBadResponse',
      /identity was asked for/,
    ],
    [
      'silence from the start',
      { mute: true },
      'SourceStalled',
      /sent no byte of .* for 0\.3 s, 2 times in a row/,
    ],
    ['silence in the middle', { stallAfter: Array(40).fill(0) }, 'SourceStalled', /sent no byte/],
    [
      'an early end',
      { endAfter: [400, ...Array(40).fill(0)] },
      'SourceEndedEarly',
      /ended after 400 of 1000 bytes/,
    ],
    ['endless redirects', { redirect: '/f' }, 'SourceBadResponse', /redirects more than 10 times/],
    ['a redirect to a file', { redirect: 'file:///etc/passwd' }, 'SourceBadResponse', /no http or https URL/],
    ['a wrong range', { endAfter: [400], wrongRange: true }, 'SourceBadResponse', /another range/],
    [
      'no size and no limit',
      { chunked: true, ignoreRange: true },
      'SourceSizeUnknown',
      /sizeLimit must be set/,
    ],
  ];
  test.each(cases)('%s', async (_name, how, reason, message) => {
    const url = how === undefined ? `${web.origin}/f` : web.serve('/f', randomBytes(1000), how);
    const { code, termination, failure } = await run(one(`${url}?signature=hidden`));
    expect(code).toBe(1);
    expect(failure?.reason).toBe(reason);
    expect(failure?.message).toMatch(message);
    expect(termination).toEqual(failure);
    expect(failure?.message).not.toContain('hidden');
    expect(failure?.message).not.toContain('secret body');
  });

  test('a break in a file of which nothing is known', async () => {
    const url = web.serve('/f', randomBytes(1000), {
      chunked: true,
      ignoreRange: true,
      etag: undefined,
      endAfter: [undefined, 400],
    });
    const { failure } = await run(one(url), { env: { ENXAME_SIZE_LIMIT: '5000' } });
    expect(failure?.reason).toBe('SourceEndedEarly');
    expect(failure?.message).toMatch(/broke off after 400 bytes.*neither size nor validator/);
  });

  test('a port where nothing listens', async () => {
    const gone = await WebServer.start();
    const { origin } = gone;
    await gone.stop();
    const { failure } = await run(one(`${origin}/f`));
    expect(failure?.reason).toBe('SourceUnreachable');
    expect(failure?.message).toMatch(/ECONNREFUSED/);
  });

  test('another SHA-256 than declared', async () => {
    const { code, failure } = await run(one(web.serve('/f', randomBytes(100)), { sha256: '0'.repeat(64) }));
    expect(code).toBe(1);
    expect(failure?.reason).toBe('SourceChecksumMismatch');
  });

  test('a total over the limit is refused before anything is read', async () => {
    const { failure } = await run(one(web.serve('/f', randomBytes(1000))), {
      env: { ENXAME_SIZE_LIMIT: '999' },
    });
    expect(failure?.reason).toBe('SourceTooLarge');
    expect(failure?.message).toMatch(/1000 bytes.*sizeLimit is .*999 bytes/);
    expect(web.sentBytes).toBe(0);
    expect(agent.plans).toHaveLength(0);
  });

  test('a file of unknown size is cut off at the limit', async () => {
    const url = web.serve('/f', randomBytes(8 * 1024 * 1024), { chunked: true, ignoreRange: true });
    const { failure } = await run(one(url), { env: { ENXAME_SIZE_LIMIT: '100000' } });
    expect(failure?.reason).toBe('SourceTooLarge');
    expect(agent.receivedBytes).toBeLessThanOrEqual(100_000);
  });

  test('paths that make a file a folder', async () => {
    const files = ['a', 'a/b'].map((path) => ({ path, url: web.serve(`/${path}`, randomBytes(1)) }));
    const { failure } = await run({ http: { files } });
    expect(failure?.reason).toBe('SourceInvalid');
    expect(failure?.message).toMatch(/"a" must not be a file, because "a\/b" lies in it/);
  });

  test('a URL with a password', async () => {
    const { failure } = await run(one('http://user:hunter2@example.com/f'));
    expect(failure?.reason).toBe('SourceInvalid');
    expect(JSON.stringify(logLines)).not.toContain('hunter2');
  });
});

describe('a source that stumbles', () => {
  test('errors of the server pass', async () => {
    const content = randomBytes(1000);
    const { code } = await run(one(web.serve('/f', content, { statuses: [503, 503, 503, 500, 429, 502] })));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
  });

  test('a broken connection goes on by Range, without a byte read again', async () => {
    const content = randomBytes(500_000);
    const url = web.serve('/f', content, { etag: '"v1"', endAfter: [100_000, 200_000, 50_000] });
    const { code } = await run(one(url));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
    expect(web.sentBytes).toBe(content.length);
    expect(web.requests('GET').map(({ headers }) => [headers.range, headers['if-range']])).toEqual([
      [undefined, undefined],
      ['bytes=100000-', '"v1"'],
      ['bytes=300000-', '"v1"'],
      ['bytes=350000-', '"v1"'],
    ]);
    expect(agent.plans).toHaveLength(1);
  });

  test('silence is broken off and goes on by Range', async () => {
    const content = randomBytes(1000);
    const { code } = await run(one(web.serve('/f', content, { stallAfter: [300] })));
    expect(code).toBe(0);
    expect(web.sentBytes).toBe(1000);
  });

  test('a server that ignores Range is read past what is there', async () => {
    const content = randomBytes(1000);
    const { code } = await run(one(web.serve('/f', content, { endAfter: [400], ignoreRange: true })));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
    expect(web.sentBytes).toBe(1400);
  });

  test('dates and weak ETags serve as validators too', async () => {
    const content = randomBytes(1000);
    const lastModified = 'Sun, 22 Nov 2026 10:00:00 GMT';
    const dated = web.serve('/dated', content, { etag: undefined, lastModified, endAfter: [400] });
    const weak = web.serve('/weak', content, { etag: 'W/"x"', endAfter: [400] });
    const { code } = await run({
      http: {
        files: [
          { path: 'dated', url: dated },
          { path: 'weak', url: weak },
        ],
      },
    });
    expect(code).toBe(0);
    const conditions = web.requests('GET').map(({ headers }) => headers['if-range']);
    expect(conditions).toEqual([undefined, lastModified, undefined, undefined]);
    expect(web.sentBytes).toBe(2000);
  });

  test('a file that changes while it is read is read anew, from its new start', async () => {
    const before = Buffer.alloc(1000, 'old');
    const after = Buffer.alloc(1000, 'new');
    const url = web.serve('/f', before, {
      endAfter: [400],
      beforeGet: (served, nth) => {
        if (nth === 1) Object.assign(served, { content: after, etag: '"changed"' });
      },
    });
    const { code } = await run(one(url));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(after)).toBe(true);
    expect(agent.plans.map(({ files }) => files[0]?.validator)).toHaveLength(2);
  });

  test('a file that never stays the same is given up', async () => {
    const url = web.serve('/f', randomBytes(1000), {
      endAfter: Array(10).fill(100),
      beforeGet: (served, nth) => Object.assign(served, { etag: `"${nth}"` }),
    });
    const { failure } = await run(one(url));
    expect(failure?.reason).toBe('SourceChanged');
  });

  test('a file without any validator that became shorter is read anew as a whole', async () => {
    const after = Buffer.alloc(300, 'new');
    const url = web.serve('/f', Buffer.alloc(1000, 'old'), {
      etag: undefined,
      endAfter: [500],
      beforeGet: (served, nth) => {
        if (nth === 1) served.content = after;
      },
    });
    const { code } = await run(one(url));
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(after)).toBe(true);
  });

  test('a file that becomes shorter all the time is given up', async () => {
    const url = web.serve('/f', randomBytes(1000), {
      etag: undefined,
      endAfter: Array(10).fill(1),
      beforeGet: (served) => {
        served.content = served.content.subarray(1);
      },
    });
    const { failure } = await run(one(url));
    expect(failure?.reason).toBe('SourceChanged');
  });
});

describe('headers of the Secret', () => {
  async function writeHeaders(text: string) {
    await mkdir(join(folder, 'headers'), { recursive: true });
    await writeFile(join(folder, 'headers', HEADERS_SECRET_KEY), text);
  }
  const withHeaders = (url: string): SourceSpec => ({
    http: { files: [{ path: 'f', url }], headersSecretRef: { name: 'auth' } },
  });

  test('go to the declared origin, also through redirects within it', async () => {
    await writeHeaders('# for the store\nAuthorization: Bearer s3cret\r\nX-Tenant: a\n\n');
    web.serve('/real', randomBytes(10));
    const { code } = await run(withHeaders(web.serve('/f', randomBytes(1), { redirect: '/real' })));
    expect(code).toBe(0);
    for (const { headers } of web.seen) {
      expect(headers.authorization).toBe('Bearer s3cret');
      expect(headers['x-tenant']).toBe('a');
      expect(headers['accept-encoding']).toBe('identity');
    }
    expect(JSON.stringify(logLines)).not.toContain('s3cret');
  });

  test('stay behind when a redirect leaves the origin, and when another leads back', async () => {
    await writeHeaders('Authorization: Bearer s3cret');
    const elsewhere = await WebServer.start();
    web.serve('/back', randomBytes(10));
    elsewhere.serve('/hop', randomBytes(1), { redirect: `${web.origin}/back` });
    const url = web.serve('/f', randomBytes(1), { redirect: `${elsewhere.origin}/hop` });
    const { code } = await run(withHeaders(url));
    expect(code).toBe(0);
    expect(elsewhere.seen.length).toBeGreaterThan(0);
    for (const { headers } of elsewhere.seen) expect(headers.authorization).toBeUndefined();
    for (const { path, headers } of web.seen) {
      expect(headers.authorization).toBe(path === '/f' ? 'Bearer s3cret' : undefined);
    }
    await elsewhere.stop();
  });

  test.each([
    ['no colon', 'Authorization s3cret', /line 1 .*"Name: value"/],
    ['a space in the name', 'Bad Name: s3cret', /line 1 /],
    ['a control character', 'A: b\nX: s3\u0007cret', /line 2 .*control characters/],
    ['a header of ours', 'Range: bytes=0-s3cret', /line 1 .*must not set range/],
    ['twice', 'A: s3cret\na: s3cret', /line 2 .*a second time/],
  ])('are refused with the number of the line: %s', async (_name, text, message) => {
    await writeHeaders(text);
    const { failure, code } = await run(withHeaders(web.serve('/f', randomBytes(1))));
    expect(code).toBe(1);
    expect(failure?.reason).toBe('SourceInvalidHeaders');
    expect(failure?.message).toMatch(message);
    expect(JSON.stringify(logLines) + failure?.message).not.toContain('s3');
  });

  test('a Secret without the key', async () => {
    const { failure } = await run(withHeaders(web.serve('/f', randomBytes(1))));
    expect(failure?.reason).toBe('SourceInvalidHeaders');
    expect(failure?.message).toMatch(/must have the key enxame\.dev\.headers/);
  });
});

describe('addresses that are refused', () => {
  test('a literal loopback address', async () => {
    const { failure } = await run(one(web.serve('/f', randomBytes(1))), { guard: realGuard });
    expect(failure?.reason).toBe('SourceForbiddenAddress');
    expect(failure?.message).toMatch(/127\.0\.0\.1.*loopback/);
    expect(web.seen).toHaveLength(0);
  });

  test.each([
    'http://localhost:1/f',
    'http://[::1]:1/f',
    'http://[::ffff:127.0.0.1]:1/f',
    'http://2130706433:1/f',
  ])('%s', async (url) => {
    const { failure } = await run(one(url), { guard: realGuard });
    expect(failure?.reason).toBe('SourceForbiddenAddress');
  });

  test('a redirect to one', async () => {
    const inner = await WebServer.start();
    inner.serve('/metadata', randomBytes(10));
    const port = new URL(web.origin).port;
    // The declared server may be reached, everything else is judged as in a cluster.
    const guard: AddressGuard = {
      problem: (address) => (address === '127.0.0.1' ? undefined : realGuard.problem(address)),
    };
    const url = web.serve('/f', randomBytes(1), {
      redirect: `${inner.origin.replace('127.0.0.1', '127.0.0.2')}/metadata`,
    });
    expect(port).not.toBe('');
    const { failure } = await run(one(url), { guard });
    expect(failure?.reason).toBe('SourceForbiddenAddress');
    expect(failure?.message).toMatch(/127\.0\.0\.2/);
    expect(inner.seen).toHaveLength(0);
    await inner.stop();
  });
});

describe('the agent', () => {
  test('is waited for while it does not know of us yet', async () => {
    const refuse = [
      'ReservationPending',
      'NoReservation',
      'WrongPod',
      'Unauthenticated',
      'Unavailable',
    ] as const;
    const { code } = await run(one(web.serve('/f', randomBytes(10))), { faults: { refuse: [...refuse] } });
    expect(code).toBe(0);
  });

  test('that goes away in mid-file gets the rest from where it stands', async () => {
    const content = randomBytes(4 * 1024 * 1024);
    const { code } = await run(one(web.serve('/f', content)), { faults: { breakAfterBytes: 1024 * 1024 } });
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
    expect(agent.plans).toHaveLength(2);
  });

  test('that counts otherwise is believed', async () => {
    const content = randomBytes(1000);
    const { code } = await run(one(web.serve('/f', content)), { faults: { offsetMismatchOnce: true } });
    expect(code).toBe(0);
    expect(agent.content('a/file').equals(content)).toBe(true);
  });

  test.each([
    ['InsufficientStorage', 'InsufficientStorage'],
    ['SizeLimitExceeded', 'SourceTooLarge'],
  ] as const)('that refuses a body with %s ends the attempt', async (code, reason) => {
    const url = web.serve('/f', randomBytes(4 * 1024 * 1024));
    const result = await run(one(url), { faults: { refuseBody: { afterBytes: 100_000, code } } });
    expect(result.code).toBe(1);
    expect(result.failure).toEqual({ reason, message: `the fake agent says ${code}` });
  });

  test('that has failed the publication is believed', async () => {
    const { code, termination } = await run(one(web.serve('/f', randomBytes(1))), {
      prepare: (fake) => {
        fake.status = { phase: 'Failed', reason: 'SourceChecksumMismatch', message: 'it was so' };
      },
    });
    expect(code).toBe(1);
    expect(termination).toEqual({ reason: 'SourceChecksumMismatch', message: 'it was so' });
    expect(web.seen).toHaveLength(0);
  });

  test('that is already beyond the end of the files is only waited for', async () => {
    const { code } = await run(one(web.serve('/f', randomBytes(10))), {
      prepare: (fake) => {
        fake.faults.finishAnswersLost = true;
      },
    });
    expect(code).toBe(0);
    expect(agent.status.phase).toBe('Published');
  });

  test('that stays away is given up', async () => {
    const url = web.serve('/f', randomBytes(1));
    const { code, termination } = await run(one(url), { env: { ENXAME_INGEST_URL: 'http://127.0.0.1:1' } });
    expect(code).toBe(1);
    expect(termination?.reason).toBe('AgentUnreachable');
    expect(termination?.message).toMatch(/127\.0\.0\.1:1 does not answer \(ECONNREFUSED\)/);
  });
});

describe('the program', () => {
  test('stops when told to, and reports nothing', async () => {
    const stop = new AbortController();
    const url = web.serve('/f', randomBytes(1000), {
      stallAfter: [100],
      beforeGet: () => setTimeout(() => stop.abort(), 50),
    });
    const { code, termination } = await run(one(url), {
      signal: stop.signal,
      env: { ENXAME_SOURCE_STALL_SECONDS: '30' },
    });
    expect(code).toBe(1);
    expect(termination).toBeUndefined();
    expect(agent.failures).toHaveLength(0);
  });

  test.each([
    ['ENXAME_INGEST_URL', 'nowhere'],
    ['ENXAME_UID', '../../etc'],
    ['ENXAME_ATTEMPT', '0'],
    ['ENXAME_SOURCE_STATE', 'x'],
    ['ENXAME_SIZE_LIMIT', '1Gi'],
    ['ENXAME_SOURCE_STALL_SECONDS', '-1'],
  ])('names the variable that it cannot use: %s', async (name, value) => {
    const { code, termination } = await run(one(`${web.origin}/f`), { env: { [name]: value } });
    expect(code).toBe(2);
    expect(termination?.reason).toBe('PublisherFailed');
    expect(termination?.message).toContain(name);
  });

  test('has no word for a source that it does not know', async () => {
    const { failure } = await run({ s3: { bucket: 'x' } });
    expect(failure?.reason).toBe('SourceInvalid');
  });
});

describe('a ConfigMap', () => {
  test('is read through ..data, as the kubelet mounts it', async () => {
    const mount = join(folder, 'config-map');
    await mkdir(join(mount, '..2026_11_23'), { recursive: true });
    const binary = randomBytes(5000);
    await writeFile(join(mount, '..2026_11_23', 'settings.json'), '{}');
    await writeFile(join(mount, '..2026_11_23', 'weights.bin'), binary);
    await symlink('..2026_11_23', join(mount, '..data'));
    for (const key of ['settings.json', 'weights.bin']) await symlink(`..data/${key}`, join(mount, key));
    const { code } = await run({ configMap: { name: 'small' } });
    expect(code).toBe(0);
    expect([...agent.held.keys()]).toEqual(['settings.json', 'weights.bin']);
    expect(agent.content('weights.bin').equals(binary)).toBe(true);
    expect(agent.plans[0]?.files[1]?.sha256).toBe(sha256(binary));
  });

  test('without keys is no source', async () => {
    await mkdir(join(folder, 'config-map', '..data'), { recursive: true });
    const { failure } = await run({ configMap: { name: 'small' } });
    expect(failure?.reason).toBe('SourceNotFound');
    expect(failure?.message).toMatch(/ConfigMap small must have at least one key/);
  });
});
