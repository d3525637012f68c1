import { describe, expect, test } from '@jest/globals';
import { chooseAgentPod, isSelected, nodeState } from '../../../operator/nodes/node-state.ts';
import { agentPod, at, coreNode, NOW, node, nodeContent } from '../objects.ts';

describe('a node is live', () => {
  test('when it, its agent and its NodeContent are', () => {
    expect(node({ name: 'a' })).toMatchObject({ live: true, notLiveSince: undefined });
  });

  test('not while its NodeContent is that of an earlier agent', () => {
    const content = nodeContent({ name: 'a' });
    if (content.status?.agent !== undefined) content.status.agent.podUID = 'earlier';
    const state = nodeState({
      name: 'a',
      node: coreNode({ name: 'a' }),
      agentPods: [agentPod({ name: 'a' })],
      content,
      firstSeenNotLive: () => NOW,
    });
    expect(state.live).toBe(false);
  });

  test('not since the API says so, or since it was seen', () => {
    expect(node({ name: 'a', nodeReady: false, nodeReadySince: at(-90) }).notLiveSince).toBe(NOW - 90_000);
    expect(node({ name: 'a', agentReady: false }).notLiveSince).toBe(NOW - 300_000);
    expect(node({ name: 'a', withoutAgent: true }).notLiveSince).toBe(NOW - 5_000);
  });
});

describe('a node is selected', () => {
  test('without a placement, when it runs an agent or ran one', () => {
    expect(isSelected(undefined, node({ name: 'a' }))).toBe(true);
    expect(isSelected(undefined, node({ name: 'a', withoutAgent: true }))).toBe(true);
    expect(isSelected(undefined, node({ name: 'a', withoutAgent: true, withoutContent: true }))).toBe(false);
  });

  test('with one, when it matches, also where no agent is', () => {
    const placement = { nodeSelector: { gpu: 'true' } };
    const bare = { name: 'a', labels: { gpu: 'true' }, withoutAgent: true, withoutContent: true };
    expect(isSelected(placement, node(bare))).toBe(true);
    expect(isSelected(placement, node({ name: 'a' }))).toBe(false);
  });

  test('never without a Node', () => {
    expect(isSelected(undefined, node({ name: 'a', withoutNode: true }))).toBe(false);
  });
});

test('of two agent Pods on a node the one that stays and is ready counts', () => {
  const old = agentPod({ name: 'a' });
  const ending = { ...old, metadata: { ...old.metadata, uid: 'old', deletionTimestamp: new Date(NOW) } };
  const starting = agentPod({ name: 'a', agentReady: false });
  expect(chooseAgentPod([ending, starting])).toBe(starting);
  expect(chooseAgentPod([starting, agentPod({ name: 'a' })])?.status?.conditions?.[0]?.status).toBe('True');
});
