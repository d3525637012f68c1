// What agents and operators take from the API server, checked field by field.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ApiError,
  distributionSettings,
  distributionSummary,
  nodeContentSummary,
  parseContentDistribution,
  parseContentRevision,
  parseIngest,
  parseNodeContent,
} from '../../api/index.ts';
import { contentDistribution, contentRevision, nodeContent, UID } from './objects.ts';

describe('right objects', () => {
  test('pass as they are', () => {
    expect(parseContentRevision(contentRevision())).toEqual(contentRevision());
    expect(parseContentDistribution(contentDistribution())).toEqual(contentDistribution());
    expect(parseNodeContent(nodeContent())).toEqual(nodeContent());
    expect(parseNodeContent({ metadata: { name: 'n' } })).toEqual({ metadata: { name: 'n' } });
  });

  test('may have fields that a newer version knows', () => {
    const newer = contentRevision({ seeding: { mode: 'Selfish' } });
    expect(parseContentRevision(newer)).toEqual(newer);
  });
});

describe('wrong revisions', () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'a UID that is a path',
      { distributionUID: '../../../../../../../../etc/passwd00' },
      /spec\.distributionUID/,
    ],
    ['a name that is a path', { distribution: '../x' }, /spec\.distribution/],
    ['a revision that is a path', { revision: '../../../etc' }, /spec\.revision/],
    ['an info hash that is short', { infoHash: 'ab' }, /spec\.infoHash/],
    ['a negative size', { sizeBytes: -1 }, /spec\.sizeBytes/],
    ['a size that is text', { sizeBytes: '5' }, /spec\.sizeBytes/],
    ['a size that is no integer', { sizeBytes: 1.5 }, /spec\.sizeBytes/],
    ['a huge metainfo', { metainfoBytes: 2 ** 40 }, /spec\.metainfoBytes/],
    ['no files', { files: 0 }, /spec\.files/],
    ['a tiny piece length', { pieceLength: 1 }, /spec\.pieceLength/],
    ['an unknown policy', { swarm: { policy: 'Directed' } }, /spec\.swarm\.policy/],
    ['a negative epoch', { activation: { epoch: -1 } }, /spec\.activation\.epoch/],
    ['no activation', { activation: undefined }, /activation/],
    ['a limit that is no quantity', { limits: { upload: 'fast' } }, /spec\.limits\.upload/],
    ['a negative limit', { limits: { download: '-5' } }, /spec\.limits\.download/],
    ['another digest', { digest: `sha256:${'f'.repeat(64)}` }, /first 12 digits/],
    ['a placement that is a list', { placement: [] }, /spec\.placement/],
    ['an unknown operator', { placement: selector('Near') }, /operator/],
  ])('%s', (_name, wrong, message) => {
    expect(() => parseContentRevision(contentRevision(wrong))).toThrow(message);
    expect(() => parseContentRevision(contentRevision(wrong))).toThrow(ApiError);
  });

  test('another name than its parts', () => {
    const object = contentRevision();
    object.metadata.name = 'other-3f2a91c07b1e';
    expect(() => parseContentRevision(object)).toThrow(/ml\/other-3f2a91c07b1e: metadata\.name must be/);
  });

  test.each([
    undefined,
    null,
    5,
    'x',
    [],
    {},
    { metadata: {} },
    { metadata: { name: 'x' } },
    { kind: 'Pod' },
  ])('%j is none', (value) => {
    expect(() => parseContentRevision(value)).toThrow(ApiError);
    if (JSON.stringify(value) !== '{"metadata":{"name":"x"}}') {
      expect(() => parseNodeContent(value)).toThrow(ApiError);
    }
    expect(() => parseContentDistribution(value)).toThrow(ApiError);
  });

  test('one field replaced by anything: an ApiError, or an object whose paths are safe', () => {
    const fields = Object.keys(contentRevision().spec);
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.anything({ withNullPrototype: true }), (field, value) => {
        try {
          const { spec } = parseContentRevision(contentRevision({ [field]: value }));
          expect(`${spec.distributionUID}/${spec.revision}`).toMatch(/^[0-9a-f-]{36}\/[0-9a-f]{12}$/);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

function selector(operator: string) {
  return { nodeAffinity: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator }] }] } };
}

describe('wrong others', () => {
  test('a distribution with a path that leaves its folder', () => {
    const object = contentDistribution({ source: { http: { files: [{ path: '../x', url: 'http://x/' }] } } });
    expect(() => parseContentDistribution(object)).toThrow(/ml\/llama: path "\.\.\/x" must not have parts/);
  });

  test('a node with a reservation that names a path', () => {
    const object = nodeContent();
    object.spec!.publishing![0]!.uid = '../..';
    expect(() => parseNodeContent(object)).toThrow(/spec\.publishing\.0\.uid/);
  });

  test.each(['capacity', 'reserve'])('a node with a %s that is no quantity', (field) => {
    const object = nodeContent();
    object.spec!.storage = { [field]: 'much' };
    expect(() => parseNodeContent(object)).toThrow(new RegExp(`spec\\.storage\\.${field}`));
  });

  test('a distribution with a percentage over 100', () => {
    const object = contentDistribution({ availability: { minAvailable: '101%' } });
    expect(() => parseContentDistribution(object)).toThrow(/spec\.availability\.minAvailable/);
    expect(() => parseContentDistribution(object)).toThrow(ApiError);
  });
});

test('settings that are left open', () => {
  expect(distributionSettings(contentDistribution().spec)).toEqual({
    activationPolicy: 'Immediate',
    minAvailable: '100%',
    keptRevisions: 2,
    onDelete: 'Delete',
    swarmPolicy: 'Cluster',
    suspend: false,
  });
});

test('summaries for the columns', () => {
  const nodes = { selected: 40, held: 31, downloading: 9, pending: 0, failed: 0, unavailable: 0, active: 31 };
  const progress = {
    percent: 87,
    bytesPerSecond: 2 ** 30,
    estimatedCompletionTime: '2026-11-23T12:02:10Z',
  };
  expect(distributionSummary({ nodes, progress }, Date.parse('2026-11-23T12:00:00Z'))).toEqual({
    nodes: '31/40',
    progress: '87%',
    eta: '2m10s',
    rate: '1.0 GiB/s',
  });
  expect(distributionSummary({}, 0)).toEqual({});
  expect(nodeContentSummary(nodeContent().status!)).toEqual({
    held: 1,
    downloading: 0,
    failed: 0,
    used: '15.0 GiB',
    available: '80.0 GiB',
  });
});

describe('bodies of the ingest protocol', () => {
  const file = { path: 'a', executable: false, sizeBytes: null, sha256: null, validator: null };
  const plan = { sourceState: '0123456789abcdef', files: [file] };

  test('a plan', () => {
    expect(parseIngest.planRequest(plan)).toEqual(plan);
  });

  test.each<[string, unknown]>([
    ['no files', { ...plan, files: [] }],
    ['a negative size', { ...plan, files: [{ ...file, sizeBytes: -1 }] }],
    ['a checksum that is short', { ...plan, files: [{ ...file, sha256: 'ab' }] }],
    ['a missing field', { ...plan, files: [{ path: 'a' }] }],
    ['a path that is a number', { ...plan, files: [{ ...file, path: 5 }] }],
    ['nothing', undefined],
  ])('a plan with %s', (_name, value) => {
    expect(() => parseIngest.planRequest(value)).toThrow(ApiError);
  });

  test('the UID of a test is one', () => {
    expect(UID).toMatch(/^[0-9a-f-]{36}$/);
  });
});
