import { describe, expect, test } from '@jest/globals';
import { MAX_PUBLISHING, type Reservation } from '../../../api/index.ts';
import { type Candidacy, electNode } from '../../../operator/publishing/election.ts';
import { GIB, node, STATE, type TestNode, UID } from '../objects.ts';

const elect = (nodes: TestNode[], rest: Partial<Candidacy> = {}) =>
  electNode(nodes.map(node), {
    uid: UID,
    placement: undefined,
    expectedBytes: undefined,
    excluded: new Set(),
    ...rest,
  });
const name = (nodes: TestNode[], rest: Partial<Candidacy> = {}) => elect(nodes, rest).node?.name;

function reservations(count: number): Reservation[] {
  return Array.from({ length: count }, (_, place) => ({
    uid: `00000000-0000-4000-8000-${String(place).padStart(12, '0')}`,
    attempt: 1,
    sourceState: STATE,
    distributionName: 'other',
    podNamespace: 'ml',
    podName: 'pod',
  }));
}

describe('of nodes that can receive', () => {
  test('the one with most room, where nobody knows the size', () => {
    expect(
      name([
        { name: 'a', availableBytes: 3 },
        { name: 'b', availableBytes: 9 * GIB, reservations: reservations(2) },
      ]),
    ).toBe('b');
  });

  test('the least busy with enough room, where the size is known', () => {
    const nodes = [
      { name: 'a', availableBytes: 90 * GIB, reservations: reservations(1) },
      { name: 'b', availableBytes: 20 * GIB },
      { name: 'c', availableBytes: GIB },
    ];
    expect(name(nodes, { expectedBytes: 10 * GIB })).toBe('b');
  });

  test('one that is too small, where all are: it says so, with numbers', () => {
    expect(
      name(
        [
          { name: 'a', availableBytes: 1 },
          { name: 'b', availableBytes: 2 },
        ],
        { expectedBytes: GIB },
      ),
    ).toBe('b');
  });

  test('different ones of equals for different distributions, and the same for everybody', () => {
    const nodes = Array.from({ length: 5 }, (_, place) => ({ name: `n${place}` }));
    const elected = Array.from({ length: 40 }, (_, place) => name(nodes, { uid: `uid-${place}` }));
    expect(new Set(elected).size).toBe(5);
    expect(name([...nodes].reverse(), { uid: 'uid-7' })).toBe(elected[7]);
  });
});

test.each([
  ['is not ready', { nodeReady: false }],
  ['has no ready agent', { agentReady: false }],
  ['has no agent', { withoutAgent: true }],
  ['has no NodeContent', { withoutContent: true }],
  ['receives as much as it may', { reservations: reservations(MAX_PUBLISHING) }],
  ['runs Windows', { labels: { 'kubernetes.io/os': 'windows' } }],
])('a node that %s is not elected', (_, rest) => {
  expect(name([{ name: 'a', ...rest }])).toBeUndefined();
});

test('an excluded node is not elected, and the message says that all were tried', () => {
  expect(elect([{ name: 'a' }], { excluded: new Set(['a']) })).toEqual({
    node: undefined,
    message: 'none of the 1 selected nodes can receive the content',
  });
});
