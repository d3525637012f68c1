import { describe, expect, test } from '@jest/globals';
import { concernOfContent, isNodeChange, isPodChange } from '../../operator/concern.ts';
import { agentPod, coreNode, entry, nodeContent, publication, UID } from './objects.ts';

describe('a change of a NodeContent concerns', () => {
  const before = nodeContent({ name: 'a', revisions: [entry('a', 'Downloading')] });

  test('the distribution whose entry changed', () => {
    const now = nodeContent({
      name: 'a',
      revisions: [entry('a', 'Held')],
      publications: [publication('b', { uid: 'other' })],
    });
    expect(concernOfContent(before, now)).toEqual(new Set([UID, 'other']));
  });

  test('nobody, when only the room changed', () => {
    const now = nodeContent({ name: 'a', availableBytes: 1, revisions: [entry('a', 'Downloading')] });
    expect(concernOfContent(before, now)).toEqual(new Set());
  });

  test('everybody, when another agent wrote it, or it is new or gone', () => {
    const now = nodeContent({ name: 'a', revisions: [entry('a', 'Downloading')] });
    if (now.status?.agent !== undefined) now.status.agent.podUID = 'another';
    expect(concernOfContent(before, now)).toBe('everything');
    expect(concernOfContent(undefined, now)).toBe('everything');
    expect(concernOfContent(before, undefined)).toBe('everything');
  });
});

test('a Node matters by its labels and whether it is ready', () => {
  const node = coreNode({ name: 'a' });
  expect(isNodeChange(node, coreNode({ name: 'a' }))).toBe(false);
  expect(isNodeChange(node, coreNode({ name: 'a', labels: { gpu: 'true' } }))).toBe(true);
  expect(isNodeChange(node, coreNode({ name: 'a', nodeReady: false }))).toBe(true);
});

test("an agent's Pod matters by its address and whether it is ready", () => {
  const pod = agentPod({ name: 'a' });
  expect(isPodChange(pod, agentPod({ name: 'a' }))).toBe(false);
  expect(isPodChange(pod, agentPod({ name: 'a', agentAddress: '10.0.0.2' }))).toBe(true);
  expect(isPodChange(pod, agentPod({ name: 'a', agentReady: false }))).toBe(true);
});
