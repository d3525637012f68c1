import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ContentRevision } from '../../../api/index.ts';
import {
  decideRevisions,
  type RevisionAction,
  type RevisionsInput,
} from '../../../operator/revisions/decide.ts';
import { desiredRevision, revisionsOf } from '../../../operator/revisions/desired.ts';
import { at, digest, distribution, entry, NOW, node, publication, revision, STATE, UID } from '../objects.ts';

function decide(revisions: ContentRevision[], rest: Partial<RevisionsInput> = {}): RevisionAction[] {
  return decideRevisions({
    distribution: distribution(),
    sourceState: STATE,
    revisions,
    nodes: [],
    published: undefined,
    nowMilliseconds: NOW,
    ...rest,
  });
}

const only = (actions: RevisionAction[], kind: RevisionAction['kind']) =>
  actions.filter((action) => action.kind === kind).map(({ revision: { metadata } }) => metadata.name);

describe('a publication', () => {
  test('becomes a revision that is complete and owned', () => {
    const [action] = decide([], { published: publication('a') });
    expect(action).toEqual({
      kind: 'create',
      revision: {
        apiVersion: 'enxame.dev/v1alpha1',
        kind: 'ContentRevision',
        metadata: {
          name: 'model-aaaaaaaaaaaa',
          namespace: 'ml',
          labels: {
            'app.kubernetes.io/name': 'enxame',
            'app.kubernetes.io/managed-by': 'enxame',
            'enxame.dev/distribution': 'model',
            'enxame.dev/distribution-uid': UID,
            'enxame.dev/revision': 'aaaaaaaaaaaa',
          },
          ownerReferences: [
            {
              apiVersion: 'enxame.dev/v1alpha1',
              kind: 'ContentDistribution',
              name: 'model',
              uid: UID,
              controller: true,
            },
          ],
        },
        spec: revision('a').spec,
      },
    });
  });

  test('takes the next number and a higher epoch than all before', () => {
    const [action] = decide(
      [revision('a', { sourceState: 'f'.repeat(16), sequence: 4, activation: { epoch: 9 } })],
      {
        published: publication('b'),
      },
    );
    expect(action?.revision.spec).toMatchObject({ sequence: 5, activation: { epoch: 10 } });
  });

  test('of content that is there already changes its source and its epoch, and makes nothing', () => {
    const old = revision('a', { sourceState: 'e'.repeat(16) });
    const newer = revision('b', { sourceState: 'f'.repeat(16), sequence: 2, activation: { epoch: 2 } });
    const actions = decide([newer, old], { published: publication('a') });
    expect(actions).toMatchObject([
      {
        kind: 'update',
        reactivated: true,
        revision: { spec: { revision: 'aaaaaaaaaaaa', sourceState: STATE, activation: { epoch: 3 } } },
      },
    ]);
  });

  test('changes nothing the second time', () => {
    expect(decide([revision('a')], { published: publication('a') })).toEqual([]);
  });

  test('that lacks a part is none', () => {
    const { infoHash: _, ...incomplete } = publication('a');
    expect(decide([], { published: incomplete })).toEqual([]);
  });

  test('waits while the distribution is suspended', () => {
    expect(
      decide([], { distribution: distribution({ suspend: true }), published: publication('a') }),
    ).toEqual([]);
  });
});

describe('the desired revision', () => {
  test('is activated anew when the source goes back to it', () => {
    const back = revision('a');
    const newer = revision('b', { sourceState: 'f'.repeat(16), sequence: 2, activation: { epoch: 2 } });
    expect(decide([newer, back])).toMatchObject([
      {
        kind: 'update',
        revision: { metadata: { name: 'model-aaaaaaaaaaaa' }, spec: { activation: { epoch: 3 } } },
        why: 'activation',
      },
    ]);
  });

  test('is not activated while the distribution is suspended', () => {
    const newer = revision('b', { sourceState: 'f'.repeat(16), paused: true, activation: { epoch: 2 } });
    const actions = decide([newer, revision('a', { paused: true })], {
      distribution: distribution({ suspend: true }),
    });
    expect(actions).toEqual([]);
  });

  test('is the one activated last, where one source gave two', () => {
    const two = [
      revision('a', { activation: { epoch: 1 } }),
      revision('b', { sequence: 2, activation: { epoch: 2 } }),
    ];
    expect(desiredRevision(STATE, two)?.spec.digest).toBe(digest('b'));
  });

  test('is none of another distribution of the name', () => {
    expect(revisionsOf(distribution(), [revision('a', { distributionUID: '2'.repeat(36) })])).toEqual([]);
  });
});

describe('every revision follows the spec', () => {
  test('in placement, limits, swarm, deletion and pause', () => {
    const spec = {
      placement: { nodeSelector: { gpu: 'true' } },
      limits: { upload: '10Mi' },
      swarm: { policy: 'Classic' as const },
      retention: { onDelete: 'Retain' as const },
      suspend: true,
    };
    const actions = decide([revision('a')], { distribution: distribution(spec) });
    expect(actions[0]?.revision.spec).toMatchObject({
      placement: spec.placement,
      limits: spec.limits,
      swarm: spec.swarm,
      onDelete: 'Retain',
      paused: true,
      activation: { epoch: 1 },
    });
  });

  test('and loses what the spec no longer says', () => {
    const [action] = decide([revision('a', { placement: { nodeSelector: { gpu: 'true' } } })]);
    expect(action?.revision.spec).not.toHaveProperty('placement');
  });
});

describe('retention', () => {
  const three = [
    revision('a', { sourceState: 'd'.repeat(16), sequence: 1, activation: { epoch: 1 } }),
    revision('b', { sourceState: 'e'.repeat(16), sequence: 2, activation: { epoch: 2 } }),
    revision('c', { sequence: 3, activation: { epoch: 3 } }),
  ];

  test('keeps the desired one and one old', () => {
    expect(only(decide(three), 'delete')).toEqual(['model-aaaaaaaaaaaa']);
  });

  test('keeps what nodes show to Pods, rather than what was never shown', () => {
    const nodes = [node({ name: 'a', revisions: [entry('a', 'Held', { active: true })] })];
    expect(only(decide(three, { nodes }), 'delete')).toEqual(['model-bbbbbbbbbbbb']);
  });

  test('never deletes what is shown, even beyond the number', () => {
    const nodes = [node({ name: 'a', revisions: [entry('a', 'Held', { active: true })] })];
    const one = distribution({ retention: { revisions: 1 } });
    expect(only(decide(three, { nodes, distribution: one }), 'delete')).toEqual(['model-bbbbbbbbbbbb']);
    expect(only(decide(three, { distribution: one }), 'delete')).toEqual([
      'model-aaaaaaaaaaaa',
      'model-bbbbbbbbbbbb',
    ]);
  });

  test('believes a node that is rebooting, and not one that is long gone', () => {
    const shown = { name: 'a', nodeReady: false, revisions: [entry('a', 'Held', { active: true })] };
    const rebooting = [node({ ...shown, nodeReadySince: at(-60) })];
    expect(only(decide(three, { nodes: rebooting }), 'delete')).toEqual(['model-bbbbbbbbbbbb']);
    const gone = [node({ ...shown, nodeReadySince: at(-1000) })];
    expect(only(decide(three, { nodes: gone }), 'delete')).toEqual(['model-aaaaaaaaaaaa']);
  });

  test('does nothing for a distribution that is being deleted', () => {
    expect(decide(three, { distribution: distribution({}, { deletionTimestamp: at(0) }) })).toEqual([]);
  });
});

test('whatever there is: one decision is enough, epochs only rise, the desired revision stays and leads', () => {
  const seeds = ['1', '2', '3', '4', '5', '6'];
  const anyRevision = fc.record({
    seed: fc.constantFrom(...seeds),
    epoch: fc.nat({ max: 6 }),
    sequence: fc.integer({ min: 1, max: 6 }),
    isOfSource: fc.boolean(),
    paused: fc.boolean(),
    isShown: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(anyRevision, { selector: ({ seed }) => seed, maxLength: 6 }),
      fc.option(fc.constantFrom(...seeds), { nil: undefined }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      (drawn, publishedSeed, kept, suspend) => {
        const before = drawn.map(({ seed, epoch, sequence, isOfSource, paused }) =>
          revision(seed, {
            activation: { epoch },
            sequence,
            sourceState: isOfSource ? STATE : 'f'.repeat(16),
            paused,
          }),
        );
        const shown = drawn.filter(({ isShown }) => isShown).map(({ seed }) => seed);
        const input: RevisionsInput = {
          distribution: distribution({ retention: { revisions: kept }, suspend }),
          sourceState: STATE,
          revisions: before,
          nodes: [node({ name: 'a', revisions: shown.map((seed) => entry(seed, 'Held', { active: true })) })],
          published: publishedSeed === undefined ? undefined : publication(publishedSeed),
          nowMilliseconds: NOW,
        };
        const after = applied(before, decideRevisions(input));
        expect(decideRevisions({ ...input, revisions: after })).toEqual([]);
        for (const now of after) {
          const old = before.find(({ metadata }) => metadata.name === now.metadata.name);
          expect(now.spec.activation.epoch).toBeGreaterThanOrEqual(old?.spec.activation.epoch ?? 0);
        }
        for (const seed of shown)
          if (before.some(({ spec }) => spec.digest === digest(seed)))
            expect(after.some(({ spec }) => spec.digest === digest(seed))).toBe(true);
        const desired = desiredRevision(STATE, after);
        if (publishedSeed !== undefined && !suspend) expect(desired?.spec.digest).toBe(digest(publishedSeed));
        if (desired !== undefined && !suspend)
          for (const other of after)
            if (other !== desired)
              expect(other.spec.activation.epoch).toBeLessThan(desired.spec.activation.epoch);
      },
    ),
  );
});

function applied(before: readonly ContentRevision[], actions: readonly RevisionAction[]): ContentRevision[] {
  const byName = new Map(before.map((one) => [one.metadata.name, one]));
  for (const { kind, revision: one } of actions) {
    if (kind === 'delete') byName.delete(one.metadata.name);
    else byName.set(one.metadata.name, one);
  }
  return [...byName.values()];
}
