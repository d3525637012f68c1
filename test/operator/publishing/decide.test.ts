import { describe, expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { publisherPodName, type Reservation, sourceState } from '../../../api/index.ts';
import { decidePublishing } from '../../../operator/publishing/decide.ts';
import type {
  PublishingAction,
  PublishingDecision,
  PublishingInput,
} from '../../../operator/publishing/decision.ts';
import { publisherPod } from '../../../operator/publishing/publisher-pod.ts';
import {
  at,
  distribution,
  entry,
  GIB,
  NOW,
  node,
  publication,
  publisherSettings,
  revision,
  STATE,
  type TestNode,
  UID,
} from '../objects.ts';

function reservation(attempt = 1, rest: Partial<Reservation> = {}): Reservation {
  return {
    uid: UID,
    attempt,
    sourceState: STATE,
    distributionName: 'model',
    podNamespace: 'ml',
    podName: publisherPodName(UID, STATE, attempt),
    ...rest,
  };
}

function pod(attempt: number, status: V1Pod['status'] = { phase: 'Running' }, address = '10.0.0.1'): V1Pod {
  const made = publisherPod(distribution(), reservation(attempt), address, publisherSettings);
  return {
    ...made,
    metadata: { ...made.metadata, uid: `pod-${attempt}`, creationTimestamp: new Date(at(-60)) },
    status,
  };
}

function failedPod(attempt: number, reason: string, secondsAgo: number): V1Pod {
  return pod(attempt, {
    phase: 'Failed',
    containerStatuses: [
      {
        name: 'publisher',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: {
          terminated: {
            exitCode: 1,
            finishedAt: new Date(at(-secondsAgo)),
            message: JSON.stringify({ reason, message: `${reason} happened` }),
          },
        },
      },
    ],
  });
}

function decide(nodes: TestNode[], rest: Partial<PublishingInput> = {}): PublishingDecision {
  return decidePublishing({
    distribution: distribution(),
    sourceState: STATE,
    desired: undefined,
    nodes: nodes.map(node),
    pods: [],
    nowMilliseconds: NOW,
    firstSeen: () => NOW,
    ...rest,
  });
}

const kinds = ({ actions }: PublishingDecision) => actions.map(({ kind }) => kind);
function reserved({ actions }: PublishingDecision): Extract<PublishingAction, { kind: 'reserve' }>[] {
  return actions.filter((action) => action.kind === 'reserve');
}

describe('the first publication', () => {
  test('reserves a place on the node with most room', () => {
    const decision = decide([
      { name: 'a', availableBytes: GIB },
      { name: 'b', availableBytes: 9 * GIB },
    ]);
    expect(decision.actions).toEqual([{ kind: 'reserve', node: 'b', reservation: reservation(1) }]);
    expect(decision.state).toEqual({ phase: 'Publishing', node: 'b', waiting: undefined });
  });

  test('passes the size limit on', () => {
    const source = { ...distribution().spec.source, sizeLimit: '2Gi' };
    const [action] = reserved(decide([{ name: 'a' }], { distribution: distribution({ source }) }));
    expect(action?.reservation.sizeLimit).toBe(2 * GIB);
  });

  test('says what is missing where no node is selected', () => {
    const decision = decide([{ name: 'a' }], {
      distribution: distribution({ placement: { nodeSelector: { gpu: 'true' } } }),
    });
    expect(decision.actions).toEqual([]);
    expect(decision.state).toEqual({
      phase: 'WaitingForNode',
      message: 'no node is selected: label nodes, or change placement',
    });
  });

  test('waits while no selected node is ready', () => {
    const decision = decide([{ name: 'a', agentReady: false }]);
    expect(decision.actions).toEqual([]);
    expect(decision.state).toMatchObject({ phase: 'WaitingForNode' });
  });

  test('looks again by itself where every node is full of publications: none tells when there is a place', () => {
    const others = Array.from({ length: 64 }, (_, place) =>
      reservation(1, { uid: `22222222-2222-4222-8222-${String(place).padStart(12, '0')}` }),
    );
    const decision = decide([{ name: 'a', reservations: others }]);
    expect(decision.actions).toEqual([]);
    expect(decision.state).toMatchObject({ phase: 'WaitingForNode' });
    expect(decision.lookAgainIn).toBe(10_000);
  });

  test('makes the Pod once the place is reserved', () => {
    const decision = decide([{ name: 'a', reservations: [reservation()] }]);
    expect(decision.actions).toEqual([
      { kind: 'createPod', node: 'a', address: '10.0.0.1', reservation: reservation() },
    ]);
  });

  test('does not wait for ever for a Pod that cannot end because its node is lost', () => {
    const ending = pod(1);
    ending.metadata = { ...ending.metadata, deletionTimestamp: new Date(at(-40)) };
    const nodes = [{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }];
    const early = decide(nodes, { pods: [ending], firstSeen: () => NOW - 29_000 });
    expect(early).toMatchObject({ actions: [], lookAgainIn: 1000 });
    expect(decide(nodes, { pods: [ending], firstSeen: () => NOW - 30_000 }).actions).toEqual([
      { kind: 'reserve', node: 'a', reservation: reservation(2) },
    ]);
  });

  test('names the Pod in the reservation once it is there', () => {
    const decision = decide([{ name: 'a', reservations: [reservation()] }], { pods: [pod(1)] });
    expect(decision.actions).toEqual([
      { kind: 'reserve', node: 'a', reservation: { ...reservation(), podUID: 'pod-1' } },
    ]);
  });

  test('then waits for it', () => {
    const decision = decide(
      [
        {
          name: 'a',
          reservations: [reservation(1, { podUID: 'pod-1' })],
          publications: [publication('a', { phase: 'Receiving' })],
        },
      ],
      { pods: [pod(1)] },
    );
    expect(decision.actions).toEqual([]);
    expect(decision.published).toBeUndefined();
  });

  test('says why the Pod does not run', () => {
    const pending = pod(1, {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }],
    });
    const decision = decide([{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }], {
      pods: [pending],
    });
    expect(decision.state).toMatchObject({ waiting: expect.stringContaining('0/3 nodes are available') });
  });

  test('hands on what was published', () => {
    const decision = decide(
      [{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })], publications: [publication('a')] }],
      { pods: [pod(1)] },
    );
    expect(decision.published).toEqual(publication('a'));
    expect(decision.actions).toEqual([]);
  });

  test('does not take an old result of another attempt for this one', () => {
    const decision = decide(
      [{ name: 'a', reservations: [reservation(2, { podUID: 'pod-2' })], publications: [publication('a')] }],
      { pods: [pod(2)] },
    );
    expect(decision.published).toBeUndefined();
  });

  test('numbers the attempt above everything that is remembered anywhere', () => {
    const decision = decide(
      [{ name: 'a' }, { name: 'b', agentReady: false, publications: [publication('a', { attempt: 4 })] }],
      { pods: [failedPod(6, 'SourceNotFound', 1)] },
    );
    expect(reserved(decision)[0]?.reservation.attempt).toBe(7);
  });
});

describe('a publication that failed', () => {
  const failing = (secondsAgo: number, attempt = 1) =>
    decide(
      [
        {
          name: 'a',
          reservations: [reservation(attempt, { podUID: `pod-${attempt}` })],
          publications: [
            publication('a', { attempt, phase: 'Failed', reason: 'SourceNotFound', message: '404' }),
          ],
        },
        { name: 'b', availableBytes: 99 * GIB },
      ],
      { pods: [failedPod(attempt, 'SourceNotFound', secondsAgo)] },
    );

  test('is told at once and tried again after 10 s, on the node that has the bytes so far', () => {
    const early = failing(3);
    expect(early.actions).toEqual([]);
    expect(early.failure).toMatchObject({ attempt: 1, reason: 'SourceNotFound', message: '404' });
    expect(early.lookAgainIn).toBe(7_000);
    const due = failing(10);
    expect(reserved(due)).toMatchObject([{ node: 'a', reservation: { attempt: 2 } }]);
  });

  test('waits longer each time, and 5 minutes at most', () => {
    expect(failing(0, 3).lookAgainIn).toBe(40_000);
    expect(failing(0, 30).lookAgainIn).toBe(300_000);
  });

  test('keeps the last failed Pod while the next one runs, and no earlier one', () => {
    const decision = decide([{ name: 'a', reservations: [reservation(3, { podUID: 'pod-3' })] }], {
      pods: [failedPod(1, 'SourceServerError', 90), failedPod(2, 'SourceServerError', 60), pod(3)],
    });
    expect(decision.actions).toEqual([
      { kind: 'deletePod', name: publisherPodName(UID, STATE, 1), uid: 'pod-1' },
    ]);
    expect(decision.failure).toMatchObject({ attempt: 2, reason: 'SourceServerError' });
  });

  test('of which only the Pod tells is known from its termination message', () => {
    const decision = decide([{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }], {
      pods: [failedPod(1, 'AgentUnreachable', 2)],
    });
    expect(decision.failure).toMatchObject({ reason: 'AgentUnreachable' });
  });

  test('names the deadline', () => {
    const late = pod(1, { phase: 'Failed', reason: 'DeadlineExceeded' });
    const decision = decide([{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }], {
      pods: [late],
    });
    expect(decision.failure).toMatchObject({
      reason: 'PublisherDeadlineExceeded',
      message: expect.stringContaining('3600 s'),
    });
  });

  test('whose Pod somebody deleted is tried again', () => {
    const nodes = [{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }];
    expect(kinds(decide(nodes))).toEqual([]);
    const later = decide(nodes, { firstSeen: () => NOW - 5_000 });
    expect(reserved(later)).toMatchObject([{ node: 'a', reservation: { attempt: 2 } }]);
  });

  test('whose Pod succeeded without the agent saying so is tried again after a while', () => {
    const done = pod(1, { phase: 'Succeeded' });
    const nodes = [{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }];
    expect(reserved(decide(nodes, { pods: [done] }))).toMatchObject([{ reservation: { attempt: 2 } }]);
  });
});

describe('a node without room', () => {
  const refused = (attempt: number) =>
    publication('a', {
      attempt,
      phase: 'Failed',
      reason: 'InsufficientStorage',
      message: 'needs 10 GiB, 3 GiB free',
    });

  test('is followed by the next one, at once', () => {
    const decision = decide(
      [
        { name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })], publications: [refused(1)] },
        { name: 'b', availableBytes: GIB },
      ],
      { pods: [pod(1)] },
    );
    expect(reserved(decision)).toMatchObject([{ node: 'b', reservation: { attempt: 2 } }]);
    expect(kinds(decision)).not.toContain('release');
  });

  test('is remembered by its reservation, and not elected again', () => {
    const decision = decide(
      [
        { name: 'a', reservations: [reservation(1)], publications: [refused(1)] },
        { name: 'b', reservations: [reservation(2)], publications: [refused(2)] },
        { name: 'c', availableBytes: 1 },
      ],
      { pods: [] },
    );
    expect(reserved(decision)).toMatchObject([{ node: 'c', reservation: { attempt: 3 } }]);
  });

  test('is tried again, with all others, after every one refused', () => {
    const nodes = [
      { name: 'a', reservations: [reservation(1)], publications: [refused(1)] },
      { name: 'b', availableBytes: GIB, reservations: [reservation(2)], publications: [refused(2)] },
    ];
    const waiting = decide(nodes, { pods: [failedPod(2, 'InsufficientStorage', 1)] });
    expect(waiting.actions).toEqual([]);
    expect(waiting.failure).toMatchObject({
      reason: 'InsufficientStorage',
      message: 'needs 10 GiB, 3 GiB free',
    });
    const again = decide(nodes, { pods: [failedPod(2, 'InsufficientStorage', 20)] });
    expect(reserved(again)).toMatchObject([{ node: 'a', reservation: { attempt: 3 } }]);
    expect(again.actions).toContainEqual({ kind: 'release', node: 'b', attempt: 2 });
  });

  test('is no failure to tell of once another node receives', () => {
    const decision = decide(
      [
        { name: 'a', reservations: [reservation(1)], publications: [refused(1)] },
        { name: 'b', reservations: [reservation(2, { podUID: 'pod-2' })] },
      ],
      { pods: [failedPod(1, 'InsufficientStorage', 5), pod(2)] },
    );
    expect(decision.failure).toBeUndefined();
  });
});

test('a node whose disk fails is followed by the next one, at once', () => {
  const broken = publication('a', { phase: 'Failed', reason: 'DiskError', message: 'EIO' });
  const failed = { name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })], publications: [broken] };
  const decision = decide([failed, { name: 'b', availableBytes: GIB }], { pods: [pod(1)] });
  expect(reserved(decision)).toMatchObject([{ node: 'b', reservation: { attempt: 2 } }]);
  // Where there is no other one, it is tried again, and told.
  const alone = decide([failed], { pods: [failedPod(1, 'DiskError', 20)] });
  expect(reserved(alone)).toMatchObject([{ node: 'a', reservation: { attempt: 2 } }]);
  expect(alone.failure).toMatchObject({ reason: 'DiskError', message: 'EIO' });
});

test('a node that no publisher gets through to is replaced, where there is another', () => {
  const reserving = { name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] };
  const pods = [failedPod(1, 'AgentUnreachable', 20)];
  const decision = decide([reserving, { name: 'b', availableBytes: GIB }], { pods });
  expect(reserved(decision)).toMatchObject([{ node: 'b', reservation: { attempt: 2 } }]);
  expect(decision.actions).toContainEqual({ kind: 'release', node: 'a', attempt: 1 });
  expect(reserved(decide([reserving], { pods }))).toMatchObject([{ node: 'a', reservation: { attempt: 2 } }]);
});

test('a node that was streamed to before its agent went for a while keeps the publication', () => {
  const pods = [failedPod(1, 'AgentUnreachable', 20)];
  const other = { name: 'b', availableBytes: 99 * GIB };
  const before = { name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] };
  const receiving = { ...before, publications: [publication('a', { phase: 'Receiving' })] };
  const replaced = { ...before, agentAddress: '10.0.0.9' };
  for (const node of [receiving, replaced])
    expect(reserved(decide([node, other], { pods }))).toMatchObject([
      { node: 'a', reservation: { attempt: 2 } },
    ]);
});

describe('the receiving node', () => {
  test('that is away for a minute is replaced, from the start', () => {
    const away = (secondsAgo: number) =>
      decide(
        [
          {
            name: 'a',
            nodeReady: false,
            nodeReadySince: at(-secondsAgo),
            reservations: [reservation(1, { podUID: 'pod-1' })],
          },
          { name: 'b' },
        ],
        { pods: [pod(1)] },
      );
    expect(away(20).actions).toEqual([]);
    expect(away(20).lookAgainIn).toBe(40_000);
    expect(away(61).actions).toEqual([
      expect.objectContaining({ kind: 'reserve', node: 'b' }),
      { kind: 'release', node: 'a', attempt: 1 },
      { kind: 'deletePod', name: publisherPodName(UID, STATE, 1), uid: 'pod-1' },
    ]);
  });

  test('that is gone is replaced at once', () => {
    const decision = decide([
      { name: 'a', withoutNode: true, reservations: [reservation(1)] },
      { name: 'b' },
    ]);
    expect(reserved(decision)).toMatchObject([{ node: 'b', reservation: { attempt: 2 } }]);
  });

  test('that is no longer selected is replaced', () => {
    const decision = decide(
      [
        { name: 'a', reservations: [reservation(1)] },
        { name: 'b', labels: { gpu: 'true' } },
      ],
      { distribution: distribution({ placement: { nodeSelector: { gpu: 'true' } } }) },
    );
    expect(reserved(decision)).toMatchObject([{ node: 'b' }]);
    expect(decision.actions).toContainEqual({ kind: 'release', node: 'a', attempt: 1 });
  });

  test('whose agent has a new address gets a new publisher', () => {
    const decision = decide(
      [{ name: 'a', agentAddress: '10.0.0.99', reservations: [reservation(1, { podUID: 'pod-1' })] }],
      { pods: [pod(1)] },
    );
    expect(kinds(decision)).toEqual(['deletePod', 'reserve']);
    expect(reserved(decision)).toMatchObject([{ node: 'a', reservation: { attempt: 2 } }]);
  });
});

describe('two operators that both believed to lead', () => {
  test('left two reservations of one attempt: one stays', () => {
    const decision = decide([
      { name: 'a', reservations: [reservation(1)] },
      { name: 'b', reservations: [reservation(1)] },
    ]);
    expect(decision.actions).toContainEqual({ kind: 'release', node: 'b', attempt: 1 });
    expect(kinds(decision)).toEqual(['release', 'createPod']);
  });

  test('left a Pod of an earlier attempt: it goes', () => {
    const decision = decide([{ name: 'a', reservations: [reservation(2, { podUID: 'pod-2' })] }], {
      pods: [pod(1), pod(2)],
    });
    expect(decision.actions).toEqual([
      { kind: 'deletePod', name: publisherPodName(UID, STATE, 1), uid: 'pod-1' },
    ]);
  });
});

describe('another source', () => {
  test('drops what the earlier one left, and begins anew', () => {
    const source = { http: { files: [{ path: 'a.bin', url: 'https://example.com/b.bin' }] } };
    const decision = decide([{ name: 'a', reservations: [reservation(3, { podUID: 'pod-3' })] }], {
      distribution: distribution({ source }),
      sourceState: sourceState(source),
      pods: [pod(3), failedPod(2, 'SourceNotFound', 10)],
    });
    expect(kinds(decision)).toEqual(['release', 'deletePod', 'deletePod', 'reserve']);
    expect(reserved(decision)).toMatchObject([
      {
        reservation: {
          attempt: 4,
          sourceState: sourceState(source),
          podName: publisherPodName(UID, sourceState(source), 4),
        },
      },
    ]);
  });
});

describe('suspended', () => {
  test('ends the publisher and keeps the reservation, with the bytes', () => {
    const decision = decide([{ name: 'a', reservations: [reservation(1, { podUID: 'pod-1' })] }], {
      distribution: distribution({ suspend: true }),
      pods: [pod(1)],
    });
    expect(decision.actions).toEqual([
      { kind: 'deletePod', name: publisherPodName(UID, STATE, 1), uid: 'pod-1' },
    ]);
    expect(decision.state).toEqual({ phase: 'Suspended' });
  });

  test('does not begin', () => {
    expect(decide([{ name: 'a' }], { distribution: distribution({ suspend: true }) }).actions).toEqual([]);
  });
});

describe('once the revision is there', () => {
  const desired = revision('a');

  test('the reservation stays until the node says that it holds it', () => {
    const before = decide([{ name: 'a', reservations: [reservation(1)], publications: [publication('a')] }], {
      desired,
    });
    expect(before.actions).toEqual([]);
    const after = decide(
      [
        {
          name: 'a',
          reservations: [reservation(1)],
          publications: [publication('a')],
          revisions: [entry('a', 'Held')],
        },
      ],
      { desired },
    );
    expect(after.actions).toEqual([{ kind: 'release', node: 'a', attempt: 1 }]);
    expect(after.state).toEqual({ phase: 'Published' });
  });

  test('Pods that ended go, also the failed ones', () => {
    const decision = decide([{ name: 'a', revisions: [entry('a', 'Held')] }], {
      desired,
      pods: [failedPod(1, 'SourceServerError', 90), pod(2, { phase: 'Succeeded' })],
    });
    expect(kinds(decision)).toEqual(['deletePod', 'deletePod']);
  });

  test('a Pod that is about to end is left to end by itself, for a while', () => {
    const nodes = [
      {
        name: 'a',
        reservations: [reservation(1)],
        publications: [publication('a')],
        revisions: [entry('a', 'Held')],
      },
    ];
    const fresh = revision('a', {}, { creationTimestamp: at(-1) });
    expect(decide(nodes, { desired: fresh, pods: [pod(1)] }).actions).toEqual([]);
    expect(kinds(decide(nodes, { desired, pods: [pod(1)] }))).toEqual(['deletePod', 'release']);
  });

  test('refusals go', () => {
    const decision = decide(
      [
        {
          name: 'a',
          reservations: [reservation(1)],
          publications: [publication('a', { phase: 'Failed', reason: 'InsufficientStorage' })],
        },
        {
          name: 'b',
          reservations: [reservation(2)],
          publications: [publication('a', { attempt: 2 })],
          revisions: [entry('a', 'Held')],
        },
      ],
      { desired },
    );
    expect(decision.actions).toEqual(
      expect.arrayContaining([
        { kind: 'release', node: 'a', attempt: 1 },
        { kind: 'release', node: 'b', attempt: 2 },
      ]),
    );
  });
});

describe('a revision that nobody holds any more', () => {
  const desired = revision('a');
  const nodes: TestNode[] = [{ name: 'a', revisions: [entry('a', 'Downloading')] }, { name: 'b' }];

  test('is waited for two minutes, then its source is read again', () => {
    const early = decide(nodes, { desired, firstSeen: () => NOW - 100_000 });
    expect(early.actions).toEqual([]);
    expect(early.noHolder).toBe(true);
    expect(early.lookAgainIn).toBe(20_000);
    const due = decide(nodes, { desired, firstSeen: () => NOW - 120_000 });
    expect(reserved(due)).toHaveLength(1);
    expect(reserved(due)[0]?.reservation.declaredBytes).toBe(10 * GIB);
  });

  test('goes on being published without waiting again', () => {
    const begun = decide([{ name: 'a', reservations: [reservation(1)] }], { desired, firstSeen: () => NOW });
    expect(kinds(begun)).toEqual(['createPod']);
  });

  test('a holder that is away does not count', () => {
    const away = decide([{ name: 'a', agentReady: false, revisions: [entry('a', 'Held')] }, { name: 'b' }], {
      desired,
      firstSeen: () => NOW - 120_000,
    });
    expect(away.noHolder).toBe(true);
    expect(reserved(away)).toMatchObject([{ node: 'b' }]);
  });

  test('one live holder is enough', () => {
    const held = decide([{ name: 'a', revisions: [entry('a', 'Held')] }, { name: 'b' }], { desired });
    expect(held.noHolder).toBe(false);
    expect(held.actions).toEqual([]);
  });
});
