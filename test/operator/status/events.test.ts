import { expect, test } from '@jest/globals';
import type { Condition } from '../../../api/index.ts';
import { eventsOf } from '../../../operator/status/events.ts';
import { at } from '../objects.ts';

const condition = (type: string, status: Condition['status'], reason: string, message = ''): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: at(0),
});

test('a transition is told once', () => {
  const ready = condition('Ready', 'True', 'Available', 'all of them');
  expect(eventsOf([], [ready])).toEqual([{ type: 'Normal', reason: 'Ready', message: 'all of them' }]);
  expect(eventsOf([ready], [{ ...ready, message: 'still' }])).toEqual([]);
});

test('a failed source is told with each attempt, and not a second time as a stall', () => {
  const failed = (attempt: number) => [
    condition('Published', 'False', 'SourceNotFound', `attempt ${attempt}: 404`),
    condition('Stalled', 'True', 'SourceNotFound', `attempt ${attempt}: 404`),
  ];
  expect(eventsOf([], failed(1))).toEqual([
    { type: 'Warning', reason: 'SourceNotFound', message: 'attempt 1: 404' },
  ]);
  expect(eventsOf(failed(1), failed(1))).toEqual([]);
  expect(eventsOf(failed(1), failed(2))).toHaveLength(1);
});

test('waiting for a node is no event', () => {
  expect(eventsOf([], [condition('Published', 'False', 'WaitingForNode', 'none')])).toEqual([]);
});

test('a stall for a reason of its own is told', () => {
  expect(eventsOf([], [condition('Stalled', 'True', 'ClaimConflict', 'in the way')])).toEqual([
    { type: 'Warning', reason: 'ClaimConflict', message: 'in the way' },
  ]);
});
