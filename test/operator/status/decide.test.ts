import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Condition, ConditionType, ContentDistributionStatus } from '../../../api/index.ts';
import type { PublishingDecision } from '../../../operator/publishing/decision.ts';
import { countNodes } from '../../../operator/status/count-nodes.ts';
import {
  decideStatus,
  isTransition,
  type StatusDecision,
  type StatusInput,
} from '../../../operator/status/decide.ts';
import { at, distribution, entry, GIB, NOW, node, revision, type TestNode, UID } from '../objects.ts';

const done: PublishingDecision = {
  actions: [],
  state: { phase: 'Published' },
  failure: undefined,
  published: undefined,
  noHolder: false,
  lookAgainIn: undefined,
};
const publishing: PublishingDecision = {
  ...done,
  state: { phase: 'Publishing', node: 'a', waiting: undefined },
};

function decide(nodes: TestNode[], rest: Partial<StatusInput> = {}): StatusDecision {
  const desired = 'desired' in rest ? rest.desired : revision('a');
  return decideStatus({
    distribution: distribution(),
    revisions: desired === undefined ? [] : [desired],
    nodes: nodes.map(node),
    publishing: desired === undefined ? publishing : done,
    refused: undefined,
    claimConflict: undefined,
    swarm: undefined,
    nowMilliseconds: NOW,
    ...rest,
    desired,
  });
}

function condition({ status }: StatusDecision, type: ConditionType): Condition {
  const found = status.conditions?.find((one) => one.type === type);
  if (found === undefined) throw new Error(`no condition ${type}`);
  return found;
}

const active = (name: string): TestNode => ({ name, revisions: [entry('a', 'Held', { active: true })] });
const downloading = (name: string): TestNode => ({ name, revisions: [entry('a', 'Downloading')] });

describe('before anything is published', () => {
  test('what is not known is Unknown, for this generation', () => {
    const decision = decide([{ name: 'a' }], {
      desired: undefined,
      distribution: distribution({}, { generation: 7 }),
    });
    expect(decision.status.observedGeneration).toBe(7);
    expect(condition(decision, 'Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'Publishing',
      observedGeneration: 7,
    });
    expect(condition(decision, 'Published')).toMatchObject({ status: 'Unknown', reason: 'Publishing' });
    expect(condition(decision, 'Reconciling')).toMatchObject({ status: 'True' });
    expect(decision.status.nodes).toMatchObject({ selected: 1, pending: 1 });
  });

  test('a failed source is told with its reason, and that a person must act', () => {
    const failure = { attempt: 2, reason: 'SourceNotFound', message: 'a.bin: 404', at: NOW };
    const decision = decide([{ name: 'a' }], { desired: undefined, publishing: { ...publishing, failure } });
    expect(condition(decision, 'Published')).toMatchObject({
      status: 'False',
      reason: 'SourceNotFound',
      message: 'attempt 2: a.bin: 404',
    });
    expect(condition(decision, 'Ready')).toMatchObject({ status: 'False', reason: 'SourceNotFound' });
    expect(condition(decision, 'Stalled')).toMatchObject({ status: 'True', reason: 'SourceNotFound' });
  });

  test('a server in trouble is no stall: it may mend itself', () => {
    const failure = { attempt: 1, reason: 'SourceServerError', message: '503', at: NOW };
    const decision = decide([{ name: 'a' }], { desired: undefined, publishing: { ...publishing, failure } });
    expect(condition(decision, 'Published')).toMatchObject({ status: 'False', reason: 'SourceServerError' });
    expect(condition(decision, 'Stalled').status).toBe('False');
  });

  test('a Pod that the API server refuses is told', () => {
    const decision = decide([{ name: 'a' }], { desired: undefined, refused: 'exceeded quota' });
    expect(condition(decision, 'Published')).toMatchObject({ status: 'False', reason: 'PublisherRejected' });
    expect(condition(decision, 'Stalled')).toMatchObject({ status: 'True', message: 'exceeded quota' });
  });

  test('no node selected is told', () => {
    const none = distribution({ placement: { nodeSelector: { gpu: 'true' } } });
    const decision = decide([{ name: 'a' }], { desired: undefined, distribution: none });
    expect(condition(decision, 'Ready')).toMatchObject({ status: 'False', reason: 'NoNodes' });
  });
});

describe('Ready', () => {
  test('is true when enough of the eligible nodes have it active', () => {
    const decision = decide([active('a'), active('b')]);
    expect(condition(decision, 'Ready')).toMatchObject({
      status: 'True',
      reason: 'Available',
      message: '2 of 2 eligible nodes have revision aaaaaaaaaaaa active, 2 must',
    });
    expect(decision.becameReady).toBe(true);
    expect(condition(decision, 'Reconciling').status).toBe('False');
    expect(condition(decision, 'Distributed').status).toBe('True');
    expect(condition(decision, 'Activated').status).toBe('True');
  });

  test('is false while too few have', () => {
    const decision = decide([active('a'), downloading('b')]);
    expect(condition(decision, 'Ready')).toMatchObject({ status: 'False', reason: 'NotEnoughNodes' });
    expect(decision.becameReady).toBe(false);
    expect(decision.isMoving).toBe(true);
  });

  test('counts nodes that are not ready as unavailable, and asks nothing of them', () => {
    const decision = decide([active('a'), { ...active('b'), agentReady: false }]);
    expect(condition(decision, 'Ready').status).toBe('True');
    expect(decision.status.nodes).toMatchObject({ selected: 2, held: 1, unavailable: 1 });
  });

  test('asks for minAvailable', () => {
    const nodes = [active('a'), active('b'), downloading('c')];
    const with60 = distribution({ availability: { minAvailable: '60%' } });
    expect(condition(decide(nodes, { distribution: with60 }), 'Ready').status).toBe('True');
    const with3 = distribution({ availability: { minAvailable: 3 } });
    expect(condition(decide(nodes, { distribution: with3 }), 'Ready').status).toBe('False');
  });

  test('stays true once it was, and Degraded says what is missing', () => {
    const desired = { ...revision('a'), status: { readyAt: at(-10) } };
    const decision = decide([active('a'), downloading('b')], { desired });
    expect(condition(decision, 'Ready').status).toBe('True');
    expect(condition(decision, 'Degraded')).toMatchObject({ status: 'True', reason: 'NotEnoughNodes' });
    expect(decision.becameReady).toBe(false);
  });

  test('is judged anew for a revision that was Ready once and is to be activated again', () => {
    const desired = { ...revision('a'), status: { readyAt: at(-1000) } };
    const shown = revision('b', { sequence: 2, activation: { epoch: 2 } });
    const rest = { desired, revisions: [shown, desired] };
    const before = decide([{ name: 'a', revisions: [entry('a', 'Held')] }], rest);
    expect(condition(before, 'Ready').status).toBe('False');
    // It is remembered already: it must not be written again and again.
    expect(decide([active('a')], rest)).toMatchObject({ becameReady: false });
  });

  test('goes with the last selected node', () => {
    const desired = { ...revision('a'), status: { readyAt: at(-10) } };
    const none = distribution({ placement: { nodeSelector: { gpu: 'true' } } });
    expect(condition(decide([active('a')], { desired, distribution: none }), 'Ready')).toMatchObject({
      status: 'False',
      reason: 'NoNodes',
    });
  });
});

test('failed nodes are named, with what they say', () => {
  const failed: TestNode = {
    name: 'b',
    revisions: [entry('a', 'Failed', { reason: 'StorageLow', message: 'needs 15.0 GiB, 3.1 GiB free' })],
  };
  const decision = decide([active('a'), failed]);
  expect(decision.status.failedNodes).toEqual([
    { name: 'b', reason: 'StorageLow', message: 'needs 15.0 GiB, 3.1 GiB free' },
  ]);
  expect(condition(decision, 'Stalled')).toMatchObject({
    status: 'True',
    reason: 'NodesFailed',
    message: '1 node cannot get the content, see failedNodes; b: needs 15.0 GiB, 3.1 GiB free',
  });
  expect(condition(decision, 'Distributed')).toMatchObject({ status: 'False', reason: 'NodesFailed' });
});

test('a claim in conflict stalls', () => {
  expect(condition(decide([active('a')], { claimConflict: 'in the way' }), 'Stalled')).toMatchObject({
    status: 'True',
    reason: 'ClaimConflict',
    message: 'in the way',
  });
});

test('a suspended distribution says so', () => {
  const decision = decide([active('a'), downloading('b')], { distribution: distribution({ suspend: true }) });
  expect(condition(decision, 'Reconciling')).toMatchObject({ status: 'False', reason: 'Suspended' });
  expect(condition(decision, 'Ready')).toMatchObject({ status: 'False', reason: 'Suspended' });
  expect(decision.isMoving).toBe(false);
});

test('progress counts the bytes of all nodes, and 100 means all of them', () => {
  const swarm = {
    leechers: 2,
    bytesLeft: 5 * GIB,
    bytesPerSecond: GIB,
    stillSince: NOW,
    slowest: [
      { node: 'b', bytesLeft: 4 * GIB },
      { node: 'a', bytesLeft: 1 },
    ],
  };
  const decision = decide([active('a'), downloading('b'), downloading('c'), { name: 'd' }], { swarm });
  // 40 GiB in all; b and c lack 5 GiB, d all of its 10.
  expect(decision.status.progress).toEqual({
    percent: 62,
    bytesPerSecond: GIB,
    estimatedCompletionTime: '2026-11-01T12:00:05Z',
    peerBytes: 15 * GIB,
  });
  expect(decision.status.slowestNodes).toEqual([{ name: 'b', percent: 60 }]);
  expect(decision.status.summary).toMatchObject({
    nodes: '1/4',
    progress: '62%',
    size: '10.0 GiB',
    eta: '5s',
  });
  expect(decide([active('a'), active('b')]).status.progress).toEqual({ percent: 100, peerBytes: 10 * GIB });
});

test('of the slowest nodes each is listed once, and only those that do download', () => {
  const swarm = {
    ...{ leechers: 4, bytesLeft: 20 * GIB, bytesPerSecond: GIB, stillSince: NOW },
    slowest: [
      // The peer that the agent of b was before it was started anew, and one that says it were node e.
      { node: 'b', bytesLeft: 10 * GIB },
      { node: 'e', bytesLeft: 10 * GIB },
      { node: 'c', bytesLeft: 5 * GIB },
      { node: 'b', bytesLeft: 2 * GIB },
    ],
  };
  const { status } = decide([active('a'), downloading('b'), downloading('c'), { name: 'e' }], { swarm });
  expect(status.slowestNodes).toEqual([
    { name: 'c', percent: 50 },
    { name: 'b', percent: 80 },
  ]);
});

test('what hardly moves ends at no time that could be told', () => {
  const huge = revision('a', { sizeBytes: 4_000 * GIB });
  const swarm = {
    ...{ leechers: 2, bytesLeft: 8_000 * GIB, bytesPerSecond: 1, stillSince: NOW, slowest: [] },
  };
  const { status } = decide([active('a'), downloading('b'), downloading('c')], { desired: huge, swarm });
  expect(status.progress).toMatchObject({ bytesPerSecond: 1 });
  expect(status.progress?.estimatedCompletionTime).toBeUndefined();
});

test('a swarm that does not move for a minute makes no progress', () => {
  const swarm = { leechers: 1, bytesLeft: GIB, bytesPerSecond: 0, stillSince: NOW - 61_000, slowest: [] };
  const decision = decide([active('a'), downloading('b')], { swarm });
  expect(condition(decision, 'NoProgress')).toMatchObject({ status: 'True', reason: 'NoBytesMoved' });
  expect(
    condition(decide([active('a'), downloading('b')], { swarm: { ...swarm, stillSince: NOW } }), 'NoProgress')
      .status,
  ).toBe('False');
});

test('times of transition stay while the status of a condition does', () => {
  const first = decide([active('a')]);
  const before = distribution();
  before.status = { conditions: first.status.conditions ?? [] };
  const later = decide([active('a'), downloading('b')], {
    distribution: before,
    nowMilliseconds: NOW + 60_000,
  });
  expect(condition(later, 'Ready').lastTransitionTime).toBe('2026-11-01T12:01:00Z');
  expect(condition(later, 'Published').lastTransitionTime).toBe('2026-11-01T12:00:00Z');
});

test('the status before changes nothing but times', () => {
  const odd = distribution();
  odd.status = {
    revision: { desired: 'ffffffffffff' },
    nodes: { selected: 9, held: 9, downloading: 0, pending: 0, failed: 0, unavailable: 0, active: 9 },
  };
  expect(decide([active('a')], { distribution: odd }).status).toEqual(decide([active('a')]).status);
});

test('progress alone is no transition', () => {
  const { status } = decide([active('a'), downloading('b')]);
  const moved: ContentDistributionStatus = { ...status, progress: { percent: 51 } };
  expect(isTransition(status, moved)).toBe(false);
  expect(isTransition(status, decide([active('a'), active('b')]).status)).toBe(true);
  expect(isTransition(undefined, status)).toBe(true);
});

test('every selected node is counted exactly once', () => {
  const anyNode = fc.record({
    nodeReady: fc.boolean(),
    agentReady: fc.boolean(),
    withoutNode: fc.boolean(),
    withoutAgent: fc.boolean(),
    withoutContent: fc.boolean(),
    gpu: fc.boolean(),
    phase: fc.constantFrom('Pending', 'Downloading', 'Held', 'Failed', 'Unsupported', 'none'),
  });
  fc.assert(
    fc.property(fc.array(anyNode, { maxLength: 12 }), fc.boolean(), (drawn, isPlaced) => {
      const nodes = drawn.map(({ gpu, phase, ...rest }, place) =>
        node({
          name: `n${place}`,
          ...rest,
          labels: gpu ? { gpu: 'true' } : {},
          revisions: phase === 'none' ? [] : [entry('a', phase as 'Held')],
        }),
      );
      const placement = isPlaced ? { nodeSelector: { gpu: 'true' } } : undefined;
      const count = countNodes(nodes, placement, UID, 'aaaaaaaaaaaa');
      expect(count.held + count.downloading + count.pending + count.failed + count.unavailable).toBe(
        count.selected,
      );
      expect(count.eligible + count.unavailable).toBe(count.selected);
      expect(count.selected).toBeLessThanOrEqual(nodes.length);
    }),
  );
});
