// What a node does about the revisions that it sees.
import { describe, expect, test } from '@jest/globals';
import { decide } from '../../../agent/revisions/decide.ts';
import { nameOwners } from '../../../agent/revisions/names.ts';
import { seenRevisions } from '../../../agent/revisions/objects.ts';
import type { ContentRevision } from '../../../api/index.ts';
import { OTHER_UID, revisionOf, UID } from '../fake-cluster.ts';

const NODE = { metadata: { name: 'a', labels: { gpu: 'true' } } };

function object(
  index: number,
  epoch: number,
  spec: Partial<ContentRevision['spec']> = {},
  metadata: Partial<ContentRevision['metadata']> = {},
): ContentRevision {
  const digest = `sha256:${String(index).padStart(12, '0').padEnd(64, '0')}`;
  const uid = spec.distributionUID ?? UID;
  return revisionOf(
    { uid, digest, infoHash: 'a'.repeat(40), sizeBytes: 1, metainfoBytes: 1, files: 1, pieceLength: 65536 },
    { sequence: index, activation: { epoch }, ...spec },
    metadata,
  );
}

function decided(
  revisions: ContentRevision[],
  held: ContentRevision[] = [],
  node: typeof NODE | null = NODE,
) {
  const { wanted, kept, unsupported, activate } = decide({
    node: node ?? undefined,
    revisions,
    isHeld: (uid, revision) =>
      held.some(({ spec }) => spec.distributionUID === uid && spec.revision === revision),
  });
  return { wanted, kept, unsupported, active: activate.get(UID) };
}

describe('what is wanted', () => {
  test('the newest epoch and everything not yet activated; others are kept', () => {
    const [first, second, third, fourth] = [object(1, 1), object(2, 2), object(3, 0), object(4, 0)];
    const { wanted, kept } = decided([first, second, third, fourth]);
    expect(new Set(wanted)).toEqual(new Set([second, third, fourth]));
    expect(kept).toEqual([first]);
  });

  test('nothing on a node that the placement leaves out, or that was never seen', () => {
    const placed = object(1, 1, { placement: { nodeSelector: { gpu: 'false' } } });
    expect(decided([placed]).wanted).toEqual([]);
    expect(decided([placed]).kept).toEqual([placed]);
    expect(decided([object(1, 1)], [], null).wanted).toEqual([]);
  });

  test('the newest one that covers the node: a placement that shrank leaves the older one', () => {
    const [wide, narrow] = [object(1, 1), object(2, 2, { placement: { nodeSelector: { gpu: 'no' } } })];
    expect(decided([wide, narrow]).wanted).toEqual([wide]);
  });

  test('nothing that is being deleted', () => {
    const going = object(1, 1, {}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(decided([going]).wanted).toEqual([]);
  });

  test('each distribution for itself', () => {
    const [mine, other] = [object(1, 5), object(2, 1, { distributionUID: OTHER_UID, distribution: 'other' })];
    expect(decided([mine, other]).wanted).toEqual([mine, other]);
  });
});

describe('what is active', () => {
  const [first, second, waiting] = [object(1, 1), object(2, 2), object(3, 0)];

  test('the held one of the highest epoch', () => {
    const all = [first, second, waiting];
    expect(decided(all, []).active).toBeUndefined();
    expect(decided(all, [first]).active).toBe(first);
    expect(decided(all, [first, second]).active).toBe(second);
  });

  test('an old one again, once its epoch is raised above', () => {
    const again = object(1, 3);
    expect(decided([again, second], [again, second]).active).toBe(again);
    expect(decided([again, second], [again, second]).wanted).toEqual([again]);
  });

  test('never one that waits for its epoch', () => {
    expect(decided([waiting], [waiting]).active).toBeUndefined();
  });

  test('nothing new while it is suspended', () => {
    const paused = object(2, 2, { paused: true });
    expect(decided([first, paused], [first, paused]).active).toBeUndefined();
  });
});

test('an object that asks for something unknown is not obeyed at all', () => {
  const strange = object(2, 2, { requires: ['gravity', 'magic'] });
  const { wanted, kept, unsupported, active } = decided([object(1, 1), strange], [strange]);
  expect(wanted.map(({ spec }) => spec.sequence)).toEqual([1]);
  expect(kept).toEqual([]);
  expect(active).toBeUndefined();
  expect(unsupported).toEqual([{ revision: strange, features: ['gravity', 'magic'] }]);
});

test('a name belongs to the distribution whose revision is the youngest', () => {
  const before = object(1, 1, {}, { creationTimestamp: '2026-01-01T00:00:00Z' });
  const after = object(1, 1, { distributionUID: OTHER_UID }, { creationTimestamp: '2026-01-02T00:00:00Z' });
  expect(nameOwners([after, before])).toEqual(new Map([['ml/model', OTHER_UID]]));
  expect(nameOwners([before, after])).toEqual(new Map([['ml/model', OTHER_UID]]));
});

test('an object that no agent may obey says what is wrong, and is obeyed in nothing', () => {
  const good = object(1, 1);
  const bad = object(2, 2, { infoHash: '../../etc' });
  const nobody = { ...object(3, 3), spec: { ...object(3, 3).spec, distributionUID: '../..' } };
  const seen = seenRevisions([good, bad, nobody, {} as ContentRevision]);
  expect(seen.valid).toEqual([good]);
  expect(seen.invalid).toEqual([
    expect.objectContaining({
      uid: UID,
      revision: bad.spec.revision,
      message: expect.stringContaining('infoHash'),
    }),
  ]);
});
