// The placement matcher against the semantics of the scheduler, and the PersistentVolume affinity against it.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { matchesPlacement, type Placement, placementNodeSelector } from '../../api/index.ts';

const node = (name: string, labels: Record<string, string> = {}) => ({ metadata: { name, labels } });
const gpu = node('gpu-1', { gpu: 'true', zone: 'a', generation: '7', empty: '' });

function terms(...expressions: [string, string, string[]?][]): Placement {
  return {
    nodeAffinity: {
      nodeSelectorTerms: expressions.map(([key, operator, values]) => ({
        matchExpressions: [{ key, operator: operator as 'In', ...(values === undefined ? {} : { values }) }],
      })),
    },
  };
}

describe('matchesPlacement', () => {
  test.each<[string, Placement | undefined, boolean]>([
    ['no placement', undefined, true],
    ['an empty placement', {}, true],
    ['a label', { nodeSelector: { gpu: 'true' } }, true],
    ['another value', { nodeSelector: { gpu: 'false' } }, false],
    ['two labels, one of them missing', { nodeSelector: { gpu: 'true', ssd: 'yes' } }, false],
    ['an empty value', { nodeSelector: { empty: '' } }, true],
    ['an empty value of a missing label', { nodeSelector: { ssd: '' } }, false],
    ['a name that every object has', { nodeSelector: { toString: 'x' } }, false],
    ['In', terms(['zone', 'In', ['a', 'b']]), true],
    ['In, other', terms(['zone', 'In', ['b']]), false],
    ['In, missing', terms(['ssd', 'In', ['b']]), false],
    ['NotIn', terms(['zone', 'NotIn', ['b']]), true],
    ['NotIn, in', terms(['zone', 'NotIn', ['a']]), false],
    ['NotIn, missing', terms(['ssd', 'NotIn', ['a']]), true],
    ['Exists', terms(['gpu', 'Exists']), true],
    ['Exists, missing', terms(['ssd', 'Exists']), false],
    ['DoesNotExist', terms(['ssd', 'DoesNotExist']), true],
    ['DoesNotExist, there', terms(['gpu', 'DoesNotExist']), false],
    ['Gt', terms(['generation', 'Gt', ['6']]), true],
    ['Gt, equal', terms(['generation', 'Gt', ['7']]), false],
    ['Lt', terms(['generation', 'Lt', ['8']]), true],
    ['Lt, no number', terms(['zone', 'Lt', ['8']]), false],
    ['Lt, missing', terms(['ssd', 'Lt', ['8']]), false],
    ['terms are alternatives', terms(['zone', 'In', ['b']], ['gpu', 'Exists']), true],
    ['an empty term', { nodeAffinity: { nodeSelectorTerms: [{}] } }, false],
    ['an operator of the future', terms(['gpu', 'Near', ['x']]), false],
    ['both parts must match', { nodeSelector: { gpu: 'false' }, ...terms(['gpu', 'Exists']) }, false],
    [
      'a field',
      {
        nodeAffinity: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['gpu-1'] }] }],
        },
      },
      true,
    ],
    [
      'another field',
      {
        nodeAffinity: {
          nodeSelectorTerms: [
            { matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['gpu-1'] }] },
          ],
        },
      },
      false,
    ],
  ])('%s', (_name, placement, selected) => {
    expect(matchesPlacement(placement, gpu)).toBe(selected);
  });

  test('all requirements of a term must be met', () => {
    const placement: Placement = {
      nodeAffinity: {
        nodeSelectorTerms: [
          {
            matchExpressions: [
              { key: 'gpu', operator: 'Exists' },
              { key: 'zone', operator: 'In', values: ['b'] },
            ],
          },
        ],
      },
    };
    expect(matchesPlacement(placement, gpu)).toBe(false);
    expect(matchesPlacement(placement, node('x', { gpu: '', zone: 'b' }))).toBe(true);
  });

  test('a node without labels', () => {
    expect(matchesPlacement({ nodeSelector: { gpu: 'true' } }, {})).toBe(false);
    expect(matchesPlacement(undefined, {})).toBe(true);
  });
});

const keys = fc.constantFrom('a', 'b', 'c');
const values = fc.constantFrom('1', '2', '3');
const placements: fc.Arbitrary<Placement> = fc.record(
  {
    nodeSelector: fc.dictionary(keys, values, { maxKeys: 2 }),
    nodeAffinity: fc.record({
      nodeSelectorTerms: fc.array(
        fc.record(
          {
            matchExpressions: fc.array(
              fc.oneof(
                fc.record({
                  key: keys,
                  operator: fc.constantFrom('In' as const, 'NotIn' as const),
                  values: fc.array(values, { minLength: 1, maxLength: 2 }),
                }),
                fc.record({
                  key: keys,
                  operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
                }),
                fc.record({
                  key: keys,
                  operator: fc.constantFrom('Gt' as const, 'Lt' as const),
                  values: fc.tuple(values).map((one) => [...one]),
                }),
              ),
              { maxLength: 3 },
            ),
          },
          { requiredKeys: [] },
        ),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  { requiredKeys: [] },
);

test('the affinity of a PersistentVolume selects the Linux nodes that the placement selects', () => {
  fc.assert(
    fc.property(placements, fc.dictionary(keys, values), (placement, labels) => {
      const linux = node('n', { ...labels, 'kubernetes.io/os': 'linux' });
      const affinity = placementNodeSelector(placement);
      expect(matchesPlacement({ nodeAffinity: affinity }, linux)).toBe(matchesPlacement(placement, linux));
    }),
    { numRuns: 500 },
  );
});

test('the affinity of a PersistentVolume always has a term, as the API server demands', () => {
  fc.assert(
    fc.property(fc.option(placements, { nil: undefined }), (placement) => {
      expect(placementNodeSelector(placement).nodeSelectorTerms.length).toBeGreaterThan(0);
    }),
  );
});
