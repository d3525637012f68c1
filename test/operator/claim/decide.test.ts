import { describe, expect, test } from '@jest/globals';
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { type ClaimDecision, type ClaimInput, decideClaim } from '../../../operator/claim/decide.ts';
import { persistentVolume, persistentVolumeClaim } from '../../../operator/claim/volume.ts';
import { at, distribution, UID } from '../objects.ts';

const withClaim = distribution({ claim: { name: 'weights' } });
const ours: V1PersistentVolumeClaim = {
  ...persistentVolumeClaim(withClaim, 'weights'),
  metadata: { ...persistentVolumeClaim(withClaim, 'weights').metadata, uid: 'claim-1' },
};
const theirs: V1PersistentVolumeClaim = { metadata: { name: 'weights', namespace: 'ml', uid: 'claim-9' } };

function volume(claimUID?: string): V1PersistentVolume {
  const made = persistentVolume(withClaim, 'weights', '/var/lib/enxame');
  if (claimUID !== undefined && made.spec?.claimRef !== undefined) made.spec.claimRef.uid = claimUID;
  return { ...made, metadata: { ...made.metadata, uid: 'volume-1' } };
}

function decide(rest: Partial<ClaimInput>): ClaimDecision {
  return decideClaim({
    distribution: withClaim,
    named: undefined,
    labelled: [],
    volume: undefined,
    contentRoot: '/var/lib/enxame',
    ...rest,
  });
}

const kinds = ({ actions }: ClaimDecision) => actions.map(({ kind }) => kind);

describe('the volume', () => {
  test('is a read-only local path, bound to one claim, on every Linux node', () => {
    expect(volume().spec).toEqual({
      capacity: { storage: '1Mi' },
      accessModes: ['ReadOnlyMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: '',
      volumeMode: 'Filesystem',
      mountOptions: ['ro'],
      local: { path: `/var/lib/enxame/content/${UID}/current` },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: 'ml', name: 'weights' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] },
          ],
        },
      },
    });
  });

  test('has the placement as its affinity', () => {
    const placed = distribution({ claim: { name: 'weights' }, placement: { nodeSelector: { gpu: 'true' } } });
    const { nodeAffinity } = persistentVolume(placed, 'weights', '/var/lib/enxame').spec ?? {};
    expect(nodeAffinity?.required?.nodeSelectorTerms).toEqual([
      { matchExpressions: [{ key: 'gpu', operator: 'In', values: ['true'] }] },
    ]);
  });
});

describe('a distribution with a claim', () => {
  test('gets a volume and a claim', () => {
    expect(kinds(decide({}))).toEqual(['createVolume', 'createClaim']);
  });

  test('that has both needs nothing', () => {
    expect(decide({ named: ours, labelled: [ours], volume: volume('claim-1') }).actions).toEqual([]);
    expect(decide({ named: ours, labelled: [ours], volume: volume() }).actions).toEqual([]);
  });

  test('never adopts the claim of somebody else', () => {
    const decision = decide({ named: theirs });
    expect(decision.actions).toEqual([]);
    expect(decision.conflict).toBe(
      'PersistentVolumeClaim weights exists and is not of this distribution: delete it, or choose another claim.name',
    );
  });

  test('nor one that only carries its label', () => {
    const { ownerReferences: _, ...metadata } = ours.metadata ?? {};
    const labelled = { ...ours, metadata };
    expect(decide({ named: labelled, labelled: [labelled], volume: volume() })).toMatchObject({
      actions: [],
      conflict: expect.stringContaining('not of this distribution'),
    });
  });

  test('waits for a claim that is being deleted', () => {
    const ending = { ...ours, metadata: { ...ours.metadata, deletionTimestamp: new Date(at(0)) } };
    const decision = decide({ named: ending, labelled: [ending], volume: volume('claim-1') });
    expect(decision.actions).toEqual([]);
    expect(decision.conflict).toContain('is being deleted');
  });

  test('whose claim a user deleted gets it anew, and the volume is freed for it', () => {
    const decision = decide({ volume: volume('claim-of-old') });
    expect(kinds(decision)).toEqual(['updateVolume', 'createClaim']);
    expect(decision.actions[0]).toMatchObject({ volume: { metadata: { uid: 'volume-1' } } });
    expect(decision.actions[0]).not.toHaveProperty('volume.spec.claimRef.uid');
  });

  test('whose volume somebody deleted gets it anew, bound to the claim that lost it', () => {
    const decision = decide({ named: ours, labelled: [ours] });
    expect(decision.actions).toMatchObject([
      { kind: 'createVolume', volume: { spec: { claimRef: { uid: 'claim-1' } } } },
    ]);
  });

  test('whose volume is for another placement or content root gets both anew, the volume last', () => {
    const placed = distribution({ claim: { name: 'weights' }, placement: { nodeSelector: { gpu: 'true' } } });
    const old = { volume: volume('claim-1') };
    for (const change of [{ distribution: placed }, { contentRoot: '/mnt/enxame' }]) {
      expect(decide({ ...change, ...old, named: ours, labelled: [ours] }).actions).toEqual([
        { kind: 'deleteClaim', claim: ours },
      ]);
      expect(decide({ ...change, ...old }).actions).toEqual([{ kind: 'deleteVolume', volume: old.volume }]);
    }
  });

  test('does not touch a volume of its name that is not its own', () => {
    const foreign = { ...volume(), metadata: { name: `enxame-${UID}`, labels: {} } };
    const decision = decide({ volume: foreign });
    expect(decision.actions).toEqual([]);
    expect(decision.conflict).toContain('is not of this distribution');
  });
});

describe('a distribution without a claim', () => {
  test('loses the claim it had, and then the volume', () => {
    const first = decide({ distribution: distribution(), labelled: [ours], volume: volume('claim-1') });
    expect(first.actions).toEqual([{ kind: 'deleteClaim', claim: ours }]);
    const then = decide({ distribution: distribution(), volume: volume('claim-1') });
    expect(kinds(then)).toEqual(['deleteVolume']);
  });

  test('loses the claim of an earlier name', () => {
    const renamed = distribution({ claim: { name: 'other' } });
    const decision = decide({ distribution: renamed, labelled: [ours], volume: volume('claim-1') });
    expect(kinds(decision)).toEqual(['deleteClaim', 'updateVolume', 'createClaim']);
  });

  test('deletes nothing of somebody else', () => {
    const { ownerReferences: _, ...metadata } = ours.metadata ?? {};
    expect(decide({ distribution: distribution(), labelled: [{ ...ours, metadata }] }).actions).toEqual([]);
  });
});
