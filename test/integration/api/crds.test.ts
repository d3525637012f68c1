// The CRDs on a real API server: they install without a warning, right objects get in with their defaults,
// and wrong ones are refused with a message that a person can act on.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeConfig, type KubernetesObject, KubernetesObjectApi } from '@kubernetes/client-node';
import {
  type ContentDistribution,
  type ContentRevision,
  distributionSettings,
  type NodeContent,
  parseContentDistribution,
  parseContentRevision,
  parseNodeContent,
} from '../../../api/index.ts';
import { contentDistribution, contentRevision, nodeContent, UID } from '../../api/objects.ts';
import { type CommandOutput, runCommand } from '../../cluster/command.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { PATIENCE } from '../../patience.ts';

const crds = join(import.meta.dirname, '..', '..', '..', 'crds');

let server: ControlPlane;
let api: KubernetesObjectApi;
let kubectl: (...args: string[]) => Promise<string>;
let installed: CommandOutput;

beforeAll(async () => {
  server = await startControlPlane();
  kubectl = (...args) => server.kubectl(args);
  const env = { ...process.env, KUBECONFIG: server.kubeconfigPath };
  installed = await runCommand(join(server.binaries, 'kubectl'), ['apply', '--server-side', '-f', crds], {
    env,
  });
  await kubectl('wait', '--for=condition=Established', `--timeout=${PATIENCE * 30}s`, '-f', crds);
  await kubectl('create', 'namespace', 'ml');
  const config = new KubeConfig();
  config.loadFromFile(server.kubeconfigPath);
  api = KubernetesObjectApi.makeApiClient(config);
});

afterAll(async () => {
  await server?.close();
});

/** What the API server says to an object, without keeping it: its message, or undefined if it would take it. */
async function refusal(object: object): Promise<string | undefined> {
  try {
    await api.create(object as KubernetesObject, undefined, 'All');
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  const { body } = error as { body?: string };
  if (body === undefined) throw error;
  return (JSON.parse(body) as { message: string }).message;
}

async function create<T extends object>(object: T): Promise<T> {
  return (await api.create(object as KubernetesObject)) as T;
}

/** What the API server says to a change of an object that it has. */
async function replacement(object: object): Promise<string | undefined> {
  try {
    await api.replace(object as KubernetesObject, undefined, 'All');
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function named<T extends { metadata: { name: string } }>(object: T, name: string): T {
  return { ...object, metadata: { ...object.metadata, name } };
}

const http = (file: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  source: { http: { files: [{ path: 'f', url: 'https://example.com/f', ...file }], ...more } },
});

test('the CRDs install without a warning, and are all established', async () => {
  expect(installed.stderr).toBe('');
  expect(installed.stdout.trim().split('\n')).toHaveLength(3);
  const stdout = await kubectl(
    ...['get', 'crd', '-o'],
    'jsonpath={range .items[*]}{.metadata.name}{range .status.conditions[*]} {.type}={.status}{end}{"\\n"}{end}',
  );
  for (const line of stdout.trim().split('\n')) {
    expect(line).toContain('Established=True');
    expect(line).toContain('NamesAccepted=True');
    expect(line).not.toContain('NonStructuralSchema');
  }
});

describe('right distributions', () => {
  test.each<[string, Record<string, unknown>]>([
    ['the least', {}],
    ['a ConfigMap', { source: { configMap: { name: 'settings.v1' } } }],
    ['a limit as a number', { ...http({}), limits: { upload: 1048576 } }],
    [
      'everything',
      {
        source: {
          http: {
            files: [
              {
                path: 'a/b/c.bin',
                url: 'http://10.0.0.1:8080/x?y=z',
                sha256: 'AB'.repeat(32),
                executable: true,
              },
              { path: 'ünïcode/模型 1.bin', url: 'https://user-content.example.com/m@1.2/x' },
              { path: '...', url: 'https://[2001:db8::1]/x' },
            ],
            headersSecretRef: { name: 'model-auth' },
          },
          sizeLimit: '200Gi',
        },
        placement: {
          nodeSelector: { gpu: 'true', 'example.com/zone': 'a', 'kubernetes.io/arch': '' },
          nodeAffinity: {
            nodeSelectorTerms: [
              {
                matchExpressions: [
                  { key: 'zone', operator: 'In', values: ['a', 'b'] },
                  { key: 'spot', operator: 'DoesNotExist' },
                  { key: 'memory', operator: 'Gt', values: ['64'] },
                ],
              },
              { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-1'] }] },
            ],
          },
        },
        activation: { policy: 'Immediate' },
        availability: { minAvailable: '95%' },
        retention: { revisions: 3, onDelete: 'Retain' },
        limits: { upload: '200Mi', download: '1.5G' },
        swarm: { policy: 'Classic' },
        suspend: true,
      },
    ],
    ['a claim with labels', { claim: { name: 'llama' }, placement: { nodeSelector: { gpu: 'true' } } }],
    ['a count of nodes', { availability: { minAvailable: 3 } }],
    [
      'as many files as there may be',
      {
        source: {
          http: {
            files: Array.from({ length: 512 }, (_, index) => ({
              path: `${'p'.repeat(200)}/${'q'.repeat(200)}/${index}`,
              url: `https://example.com/${'u'.repeat(1500)}/${index}`,
              sha256: 'ab'.repeat(32),
            })),
          },
        },
      },
    ],
  ])('%s', async (_name, spec) => {
    const object = contentDistribution(spec);
    expect(await refusal(object)).toBeUndefined();
    // Our own parser must not be stricter, or agents and operator would stop at what users may write.
    expect(() => parseContentDistribution(object)).not.toThrow();
  });

  test('the longest name', async () => {
    expect(await refusal(named(contentDistribution(), 'a'.repeat(50)))).toBeUndefined();
  });

  test('get their defaults, which are those that the programs assume', async () => {
    const bare = contentDistribution();
    const stored = await create(named(bare, 'defaults'));
    expect(stored.spec).toEqual({
      source: { http: { files: [{ ...bare.spec.source.http!.files[0]!, executable: false }] } },
      activation: { policy: 'Immediate' },
      availability: { minAvailable: '100%' },
      retention: { revisions: 2, onDelete: 'Delete' },
      swarm: { policy: 'Cluster' },
      suspend: false,
    });
    expect(distributionSettings(stored.spec)).toEqual(distributionSettings(bare.spec));
  });
});

describe('wrong distributions', () => {
  const selector = (requirement: object) => ({
    placement: { nodeAffinity: { nodeSelectorTerms: [{ matchExpressions: [requirement] }] } },
  });
  test.each<[string, Record<string, unknown>, RegExp]>([
    ['no source at all', { source: undefined }, /spec\.source: Required value/],
    [
      'none of the sources',
      { source: {} },
      /spec\.source: .*exactly one source must be given: http or configMap/,
    ],
    [
      'two sources',
      { source: { ...http({}).source, configMap: { name: 'x' } } },
      /spec\.source: .*exactly one source must be given/,
    ],
    ['no files', { source: { http: { files: [] } } }, /files: .*should have at least 1 items/],
    [
      'a path twice',
      { source: { http: { files: [1, 2].map(() => ({ path: 'f', url: 'https://x.example/f' })) } } },
      /files\[1\]: Duplicate value.*"path":"f"/,
    ],
    [
      'too many files',
      {
        source: {
          http: {
            files: Array.from({ length: 513 }, (_, i) => ({ path: `${i}`, url: 'https://x.example/f' })),
          },
        },
      },
      /files: Too many: 513: must have at most 512 items/,
    ],
    [
      'a path with ..',
      http({ path: 'a/../../etc/passwd' }),
      /files\[0\]\.path: .*must be a relative path.*no part that is empty, "\." or "\.\."/,
    ],
    ['a path that is ..', http({ path: '..' }), /path: .*must be a relative path/],
    ['a path with .', http({ path: './a' }), /path: .*must be a relative path/],
    ['an absolute path', http({ path: '/etc/passwd' }), /path: .*must be a relative path/],
    ['a path with an empty part', http({ path: 'a//b' }), /path: .*must be a relative path/],
    ['a path that ends with a slash', http({ path: 'a/' }), /path: .*must be a relative path/],
    ['an empty path', http({ path: '' }), /path: .*at least 1 chars/],
    ['a path with NUL', http({ path: 'a\0b' }), /path: .*must not hold control characters/],
    ['a path with a line end', http({ path: 'a\nb' }), /path: .*must not hold control characters/],
    [
      'a path with a backslash',
      http({ path: 'a\\b' }),
      /path: .*must not hold control characters .* or backslashes/,
    ],
    [
      'a long part',
      http({ path: 'x'.repeat(256) }),
      /path: .*each part of the path must be at most 255 bytes/,
    ],
    ['a long path', http({ path: 'x/'.repeat(600) }), /path: Too long: may not be more than 1024/],
    ['no URL', { source: { http: { files: [{ path: 'f' }] } } }, /url: Required value/],
    [
      'a URL that is none',
      http({ url: 'model.bin' }),
      /url: .*must be an absolute http or https URL with a host/,
    ],
    [
      'a URL of another scheme',
      http({ url: 's3://bucket/key' }),
      /url: .*must be an absolute http or https URL/,
    ],
    ['a file URL', http({ url: 'file:///etc/passwd' }), /url: .*must be an absolute http or https URL/],
    ['a URL without a host', http({ url: 'https:///f' }), /url: .*URL with a host/],
    ['a URL with a port but no host', http({ url: 'https://:443/f' }), /url: .*URL with a host/],
    [
      'a URL with a password',
      http({ url: 'https://me:secret@example.com/f' }),
      /url: .*must not hold a user name or password.*headersSecretRef/,
    ],
    ['a short checksum', http({ sha256: 'abc' }), /sha256: .*must be a SHA-256 as 64 hexadecimal digits/],
    ['a checksum that is no hex', http({ sha256: 'z'.repeat(64) }), /sha256: .*must be a SHA-256/],
    [
      'a Secret name with capitals',
      http({}, { headersSecretRef: { name: 'Model_Auth' } }),
      /headersSecretRef\.name: .*must be the name of an object/,
    ],
    ['a ConfigMap without a name', { source: { configMap: {} } }, /configMap\.name: Required value/],
    [
      'a size limit that is no quantity',
      { source: { ...http({}).source, sizeLimit: 'much' } },
      /sizeLimit: .*must be a quantity of bytes from 1 up to 8Pi/,
    ],
    [
      'a size limit of 0',
      { source: { ...http({}).source, sizeLimit: 0 } },
      /sizeLimit: .*must be a quantity of bytes from 1/,
    ],
    [
      'a negative limit',
      { limits: { upload: '-5Mi' } },
      /limits\.upload: .*must be a quantity of bytes per second from 16Ki/,
    ],
    [
      'a negative limit as a number',
      { limits: { download: -5 } },
      /limits\.download: .*must be a quantity of bytes per second/,
    ],
    ['a limit in which nothing gets through', { limits: { download: '5' } }, /limits\.download: .*from 16Ki/],
    ['a limit beyond measure', { limits: { upload: '9Ei' } }, /limits\.upload: .*up to 8Pi/],
    [
      'a percent over 100',
      { availability: { minAvailable: '101%' } },
      /minAvailable: .*must be a percentage from 0% to 100%/,
    ],
    [
      'a percent without its sign',
      { availability: { minAvailable: '95' } },
      /minAvailable: .*must be a percentage/,
    ],
    ['a negative count', { availability: { minAvailable: -1 } }, /minAvailable: .*number of nodes from 0/],
    [
      'no revision to keep',
      { retention: { revisions: 0 } },
      /retention\.revisions: .*greater than or equal to 1/,
    ],
    [
      'too many revisions to keep',
      { retention: { revisions: 11 } },
      /retention\.revisions: .*less than or equal to 10/,
    ],
    [
      'another word for deletion',
      { retention: { onDelete: 'Keep' } },
      /onDelete: Unsupported value: "Keep": supported values: "Delete", "Retain"/,
    ],
    [
      'a policy of later',
      { activation: { policy: 'Manual' } },
      /activation\.policy: Unsupported value.*"Immediate"/,
    ],
    [
      'an unknown swarm policy',
      { swarm: { policy: 'Fast' } },
      /swarm\.policy: Unsupported value.*"Cluster", "Classic"/,
    ],
    [
      'a claim name with capitals',
      { claim: { name: 'Llama' } },
      /claim\.name: .*must be the name of an object/,
    ],
    ['a claim without a name', { claim: {} }, /claim\.name: Required value/],
    [
      'a claim on fields of nodes',
      {
        claim: { name: 'x' },
        placement: {
          nodeAffinity: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }] }],
          },
        },
      },
      /nodeAffinity: .*must not use matchFields while claim is set.*kubernetes\.io\/hostname/,
    ],
    [
      'a label key that is none',
      { placement: { nodeSelector: { 'a b': 'x' } } },
      /nodeSelector: .*every key of nodeSelector must be a label key/,
    ],
    [
      'a label key with a bad prefix',
      { placement: { nodeSelector: { 'Example/gpu': 'x' } } },
      /every key of nodeSelector must be a label key/,
    ],
    [
      'a label value that is none',
      { placement: { nodeSelector: { gpu: '-x' } } },
      /nodeSelector\[gpu\]: .*must be a label value/,
    ],
    [
      'an affinity without terms',
      { placement: { nodeAffinity: { nodeSelectorTerms: [] } } },
      /nodeSelectorTerms: .*at least 1 items/,
    ],
    [
      'In without values',
      selector({ key: 'a', operator: 'In' }),
      /values must hold at least one value when operator is In or NotIn/,
    ],
    [
      'Exists with values',
      selector({ key: 'a', operator: 'Exists', values: ['x'] }),
      /values must be left out when operator is Exists/,
    ],
    [
      'Gt with words',
      selector({ key: 'a', operator: 'Gt', values: ['x'] }),
      /values must hold exactly one integer/,
    ],
    [
      'an unknown operator',
      selector({ key: 'a', operator: 'Near', values: ['x'] }),
      /operator: Unsupported value: "Near"/,
    ],
    [
      'a requirement on no label key',
      selector({ key: '-', operator: 'Exists' }),
      /key: .*must be a label key/,
    ],
    [
      'a field of nodes that is none',
      {
        placement: {
          nodeAffinity: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'spec.x', operator: 'In', values: ['x'] }] }],
          },
        },
      },
      /key: Unsupported value: "spec\.x"/,
    ],
    ['text for yes or no', { suspend: 'yes' }, /spec\.suspend: Invalid value: "string"/],
  ])('%s', async (_name, spec, message) => {
    expect(await refusal(contentDistribution(spec))).toMatch(message);
  });

  test('a name too long for a label', async () => {
    expect(await refusal(named(contentDistribution(), 'a'.repeat(51)))).toMatch(
      /metadata\.name must be at most 50 characters long, because .* must fit into labels/,
    );
  });

  test('no spec', async () => {
    expect(await refusal({ ...contentDistribution(), spec: undefined })).toMatch(/spec: Required value/);
  });

  test('fields of later are refused by kubectl, so that nobody believes in them', async () => {
    const file = JSON.stringify(contentDistribution({ refresh: { interval: '1h' } }));
    await expect(server.kubectl(['create', '--dry-run=server', '-f', '-'], file)).rejects.toThrow(
      /unknown field "spec\.refresh"/,
    );
  });
});

describe('changes of a distribution', () => {
  let stored: ContentDistribution;
  beforeAll(async () => {
    stored = await create(
      named(
        contentDistribution({ claim: { name: 'llama' }, placement: { nodeSelector: { gpu: 'true' } } }),
        'changing',
      ),
    );
  });
  const changed = (spec: Record<string, unknown>) => ({ ...stored, spec: { ...stored.spec, ...spec } });

  test.each<[string, Record<string, unknown>]>([
    ['placement', { placement: { nodeSelector: { gpu: 'false' } } }],
    ['leaving placement out', { placement: undefined }],
  ])('%s must not change while claim is set', async (_name, spec) => {
    expect(await replacement(changed(spec))).toMatch(
      /spec\.placement: Forbidden: placement must not change while claim is set/,
    );
  });

  test('the name of the claim must not change', async () => {
    expect(await replacement(changed({ claim: { name: 'other' } }))).toMatch(
      /spec\.claim: Forbidden: claim\.name must not change: remove claim/,
    );
  });

  test('everything else may, and placement with the claim gone', async () => {
    expect(await replacement(changed({ claim: undefined, placement: undefined }))).toBeUndefined();
    expect(await replacement(changed({ ...http({ path: 'other' }), suspend: true }))).toBeUndefined();
  });
});

describe('revisions', () => {
  test('right ones pass, with defaults that the parser takes', async () => {
    const stored = await create(
      contentRevision({ placement: {}, limits: { upload: '1Mi' }, requires: ['x'] }),
    );
    expect(stored.spec.onDelete).toBe('Delete');
    expect(stored.spec.paused).toBe(false);
    expect(parseContentRevision(stored)).toBe(stored);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['a UID that is none', { distributionUID: '../..' }, /distributionUID: .*should match/],
    ['an upper-case info hash', { infoHash: 'AB'.repeat(20) }, /infoHash: .*should match/],
    ['a digest of another kind', { digest: `md5:${'0'.repeat(64)}` }, /digest: .*should match/],
    [
      'a digest of another revision',
      { digest: `sha256:${'f'.repeat(64)}` },
      /revision must be the first 12 digits of digest/,
    ],
    ['a negative size', { sizeBytes: -1 }, /sizeBytes: .*greater than or equal to 0/],
    ['a metainfo over 8 MiB', { metainfoBytes: 8388609 }, /metainfoBytes: .*less than or equal to 8388608/],
    ['a tiny piece length', { pieceLength: 1 }, /pieceLength: .*greater than or equal to 16384/],
    ['a negative epoch', { activation: { epoch: -1 } }, /epoch: .*greater than or equal to 0/],
    ['a sequence of 0', { sequence: 0 }, /sequence: .*greater than or equal to 1/],
    ['a requirement twice', { requires: ['a', 'a'] }, /requires\[1\]: Duplicate value/],
    [
      'another distribution than its name',
      { distribution: 'other' },
      /metadata\.name must be spec\.distribution/,
    ],
  ])('%s', async (_name, spec, message) => {
    expect(await refusal(contentRevision(spec))).toMatch(message);
  });

  describe('once there', () => {
    let stored: ContentRevision;
    beforeAll(async () => {
      const digest = `sha256:${'1'.repeat(64)}`;
      const object = contentRevision({ revision: '1'.repeat(12), digest, activation: { epoch: 5 } });
      stored = await create(named(object, `llama-${'1'.repeat(12)}`));
    });
    const changed = (spec: Record<string, unknown>) => ({ ...stored, spec: { ...stored.spec, ...spec } });

    test.each<[string, Record<string, unknown>]>([
      ['distributionUID', { distributionUID: UID.replace('7', '8') }],
      ['digest', { digest: `sha256:${'1'.repeat(63)}2` }],
      ['infoHash', { infoHash: 'cd'.repeat(20) }],
      ['sequence', { sequence: 2 }],
      ['sizeBytes', { sizeBytes: 1 }],
      ['metainfoBytes', { metainfoBytes: 1 }],
      ['files', { files: 1 }],
      ['pieceLength', { pieceLength: 16384 }],
    ])('%s must not change', async (field, spec) => {
      expect(await replacement(changed(spec))).toMatch(
        new RegExp(`${field}: Forbidden: ${field} must not change`),
      );
    });

    test('the epoch only rises', async () => {
      expect(await replacement(changed({ activation: { epoch: 4 } }))).toMatch(
        /activation\.epoch: .*must not become less/,
      );
      expect(await replacement(changed({ activation: { epoch: 6 } }))).toBeUndefined();
    });

    test('what says where and how may change', async () => {
      const spec = {
        sourceState: 'f'.repeat(16),
        placement: { nodeSelector: { a: 'b' } },
        paused: true,
        onDelete: 'Retain',
      };
      expect(await replacement(changed(spec))).toBeUndefined();
    });
  });
});

describe('nodes', () => {
  test('a node without a spec, and one with everything', async () => {
    expect(await refusal({ ...nodeContent(), spec: undefined })).toBeUndefined();
    expect(await refusal(nodeContent())).toBeUndefined();
  });

  test.each<[string, (object: NodeContent) => void, RegExp]>([
    [
      'a capacity that is no quantity',
      (o) => (o.spec!.storage!.capacity = 'much'),
      /capacity: .*must be a quantity of bytes/,
    ],
    [
      'a reservation twice',
      (o) => o.spec!.publishing!.push(o.spec!.publishing![0]!),
      /publishing\[1\]: Duplicate value/,
    ],
    [
      'a reservation without an attempt',
      (o) => Object.assign(o.spec!.publishing![0]!, { attempt: undefined }),
      /attempt: Required value/,
    ],
    ['a Pod UID that is none', (o) => (o.spec!.publishing![0]!.podUID = 'x'), /podUID: .*should match/],
  ])('%s', async (_name, spoil, message) => {
    const object = nodeContent();
    spoil(object);
    expect(await refusal(object)).toMatch(message);
  });

  test('status is a subresource of its own: create drops it, its own write keeps it', async () => {
    const made = await create(nodeContent());
    expect(made.status).toBeUndefined();
    const file = JSON.stringify({ status: nodeContent().status });
    await kubectl('patch', 'ncontent', 'node-1', '--subresource=status', '--type=merge', '-p', file);
    const stored = (await api.read({ ...nodeContent(), metadata: { name: 'node-1' } } as KubernetesObject & {
      metadata: { name: string };
    })) as unknown as NodeContent;
    expect(stored.status).toEqual(nodeContent().status);
    expect(() => parseNodeContent(stored)).not.toThrow();
  });

  test('a phase that is none is refused in status', async () => {
    const status = { revisions: [{ ...nodeContent().status!.revisions![0], phase: 'Seeding' }] };
    const patch = kubectl(
      'patch',
      'ncontent',
      'node-1',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    );
    await expect(patch).rejects.toThrow(/phase: Unsupported value: "Seeding": supported values: .*"Held"/);
  });
});

describe('what kubectl shows', () => {
  beforeAll(async () => {
    await create(named(contentDistribution(), 'shown'));
    const status = {
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          lastTransitionTime: '2026-11-23T12:00:00Z',
          reason: 'Downloading',
          message: '31 of 40 nodes hold it',
        },
      ],
      revision: { desired: '3f2a91c07b1e' },
      nodes: { selected: 40, held: 31, downloading: 9, pending: 0, failed: 0, unavailable: 0, active: 30 },
      summary: { nodes: '31/40', progress: '87%', size: '15.0 GiB', eta: '2m10s', rate: '1.0 GiB/s' },
    };
    await kubectl(
      'patch',
      '-n',
      'ml',
      'cdist',
      'shown',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    );
  });
  const columns = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/).map((cell) => cell.trim()));

  test('distributions', async () => {
    const [head, row] = columns(await kubectl('get', '-n', 'ml', 'cdist', 'shown'));
    expect(head).toEqual(['NAME', 'READY', 'NODES', 'PROGRESS', 'SIZE', 'ETA', 'REVISION', 'AGE']);
    expect(row?.slice(0, -1)).toEqual([
      'shown',
      'False',
      '31/40',
      '87%',
      '15.0 GiB',
      '2m10s',
      '3f2a91c07b1e',
    ]);
  });

  test('distributions, wide', async () => {
    const [head, row] = columns(await kubectl('get', '-n', 'ml', 'cdist', 'shown', '-o', 'wide'));
    expect(head?.slice(-3)).toEqual(['RATE', 'ACTIVE', 'MESSAGE']);
    expect(row?.slice(-3)).toEqual(['1.0 GiB/s', '30', '31 of 40 nodes hold it']);
  });

  test('nodes', async () => {
    await create(named(nodeContent(), 'node-2'));
    const status = {
      summary: { held: 3, downloading: 1, failed: 0, used: '15.0 GiB', available: '80.0 GiB' },
      conditions: nodeContent().status!.conditions,
    };
    await kubectl(
      'patch',
      'nodecontents',
      'node-2',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    );
    const [head, row] = columns(await kubectl('get', 'nodecontents', 'node-2'));
    expect(head).toEqual(['NAME', 'READY', 'HELD', 'DOWNLOADING', 'FAILED', 'USED', 'AVAILABLE', 'AGE']);
    expect(row?.slice(0, -1)).toEqual(['node-2', 'True', '3', '1', '0', '15.0 GiB', '80.0 GiB']);
  });

  test('revisions, by short name, and all kinds by category', async () => {
    const [head] = columns(await kubectl('get', '-n', 'ml', 'crev'));
    expect(head).toEqual(['NAME', 'DISTRIBUTION', 'REVISION', 'SEQUENCE', 'BYTES', 'FILES', 'EPOCH', 'AGE']);
    const stdout = await kubectl('get', '-n', 'ml', 'enxame', '-o', 'name');
    for (const kind of ['contentdistribution', 'contentrevision', 'nodecontent']) {
      expect(stdout).toContain(`${kind}.enxame.dev/`);
    }
  });

  test('explain has words for every field', async () => {
    const stdout = await kubectl('explain', 'contentdistribution.spec.source.http', '--recursive=false');
    expect(stdout).toContain('The files of the content, each with its own URL.');
  });
});
