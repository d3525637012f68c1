// What a node says of itself.
import { expect, test } from '@jest/globals';
import { nodeContentStatus } from '../../../agent/node-content/status.ts';
import type { NodeRevision } from '../../../api/index.ts';
import { UID } from '../fake-cluster.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const BASE = {
  agent: { version: '1' },
  storage: { capacityBytes: 10, usedBytes: 1, reservedBytes: 2, availableBytes: 3 },
  publishing: [],
  revisions: [] as NodeRevision[],
  deletionHold: undefined,
  annotationName: 'enxame.dev/confirm-deletion',
  conditionsBefore: [],
  now: NOW,
};
const entry = (index: number, changes: Partial<NodeRevision> = {}): NodeRevision => ({
  namespace: 'ml',
  distribution: `model-${index}`,
  uid: UID,
  revision: String(index).padStart(12, '0'),
  phase: 'Held',
  active: true,
  ...changes,
});
const conditionOf = (input: typeof BASE, type: string) =>
  nodeContentStatus(input).conditions?.find((condition) => condition.type === type);

test('a content that does not fit raises StorageLow, with its numbers', () => {
  const message = 'needs 15.0 GiB, 3.1 GiB free';
  const revisions = [entry(1), entry(2, { phase: 'Failed', reason: 'StorageLow', message })];
  expect(conditionOf({ ...BASE, revisions }, 'StorageLow')).toEqual({
    type: 'StorageLow',
    status: 'True',
    reason: 'StorageLow',
    message: `one content does not fit: ${message}`,
    lastTransitionTime: '2026-01-02T03:04:05Z',
  });
  expect(conditionOf(BASE, 'StorageLow')?.status).toBe('False');
});

test('a held deletion says how to confirm it', () => {
  const deletionHold = { since: NOW, annotation: undefined, message: '3 of 5 contents are missing' };
  const condition = conditionOf({ ...BASE, deletionHold } as unknown as typeof BASE, 'DeletionHeld');
  expect(condition?.status).toBe('True');
  expect(condition?.message).toContain('enxame.dev/confirm-deletion');
});

test('a condition keeps the time of its last transition', () => {
  const before = nodeContentStatus(BASE).conditions ?? [];
  const later = { ...BASE, conditionsBefore: before as never[], now: NOW + 60_000 };
  expect(nodeContentStatus(later).conditions).toEqual(before);
});

test('at most 512 revisions are told of, and messages are cut to what the API takes', () => {
  const revisions = Array.from({ length: 600 }, (_, index) => entry(index, { message: 'x'.repeat(5000) }));
  const status = nodeContentStatus({ ...BASE, revisions });
  expect(status.revisions).toHaveLength(512);
  expect(status.revisions?.[0]?.distribution).toBe('model-0');
  expect(status.revisions?.every(({ message }) => message?.length === 4096)).toBe(true);
});
