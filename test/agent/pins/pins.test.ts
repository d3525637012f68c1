// Which revisions Pods of this node use.

import { describe, expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { currentBetween, nextPins, type PinRecord, parsePins, pinnedBy } from '../../../agent/pins/pins.ts';
import { type ContentNames, contentUses, podUse } from '../../../agent/pins/pod-use.ts';
import { OTHER_UID, UID } from '../fake-cluster.ts';

const OLD = '000000000001';
const NEW = '000000000002';
const T0 = Date.parse('2026-01-01T00:00:00Z');
const MINUTE = 60_000;
const at = (minutes: number) => new Date(T0 + minutes * MINUTE);

const NAMES: ContentNames = {
  root: '/var/lib/enxame',
  byName: (namespace, name) => (namespace === 'ml' && name === 'model' ? [UID, OTHER_UID] : []),
  byClaim: (namespace, claim) => (namespace === 'ml' && claim === 'weights' ? UID : undefined),
};

function pod({
  volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'weights' } }],
  created = 0,
  started,
  phase = 'Running',
  uid = 'pod-1',
}: {
  volumes?: NonNullable<V1Pod['spec']>['volumes'];
  created?: number;
  started?: number;
  phase?: string;
  uid?: string;
} = {}): V1Pod {
  const running = started === undefined ? {} : { state: { running: { startedAt: at(started) } } };
  return {
    metadata: { uid, namespace: 'ml', name: 'reader', creationTimestamp: at(created) },
    spec: { containers: [], volumes: volumes ?? [] },
    status: {
      phase,
      containerStatuses: [
        { name: 'c', ready: true, restartCount: 0, image: '', imageID: '', ...running },
      ] as NonNullable<V1Pod['status']>['containerStatuses'],
    },
  };
}

const hostPath = (path: string) => [{ name: 'v', hostPath: { path } }];
const usesOf = (path: string) => contentUses(podUse(pod({ volumes: hostPath(path) }))!, NAMES);

describe('what a Pod uses', () => {
  test('by our claim, in its own namespace only', () => {
    expect(contentUses(podUse(pod())!, NAMES)).toEqual([{ uid: UID }]);
    const elsewhere = pod();
    elsewhere.metadata!.namespace = 'web';
    expect(contentUses(podUse(elsewhere)!, NAMES)).toEqual([]);
  });

  test.each([
    ['/var/lib/enxame/by-name/ml/model/current', [{ uid: UID }, { uid: OTHER_UID }]],
    ['/var/lib/enxame/by-name/ml/model', [{ uid: UID }, { uid: OTHER_UID }]],
    [`/var/lib/enxame/content/${UID}/current/sub`, [{ uid: UID }]],
    [`/var/lib/enxame//content/./${UID}/${OLD}`, [{ uid: UID, revision: OLD }]],
    ['/var/lib/enxame', []],
    ['/var/lib/enxame/content/../../other', []],
    ['/var/lib/enxame-two/content/x', []],
    ['/data', []],
  ])('by host path %s', (path, uses) => {
    expect(usesOf(path)).toEqual(uses);
  });

  test('nothing once it has ended', () => {
    expect(podUse(pod({ phase: 'Succeeded' }))).toBeUndefined();
    expect(podUse(pod({ phase: 'Failed' }))).toBeUndefined();
  });
});

test('what was current between two times, with a minute of slack for clocks', () => {
  const history = [
    { revision: OLD, at: T0 },
    { revision: '', at: T0 + 10 * MINUTE },
    { revision: NEW, at: T0 + 20 * MINUTE },
  ];
  const between = (from: number, until?: number) =>
    currentBetween(history, T0 + from * MINUTE, until === undefined ? undefined : T0 + until * MINUTE);
  expect(between(2, 5)).toEqual([OLD]);
  expect(between(12, 18)).toEqual([]);
  expect(between(5, 25)).toEqual([OLD, NEW]);
  expect(between(10.5, 12)).toEqual([OLD]);
  expect(between(12, 19.5)).toEqual([NEW]);
  expect(between(22)).toEqual([NEW]);
});

describe('pins', () => {
  const history = (current: string | undefined, activations = [{ revision: OLD, at: T0 - MINUTE * 60 }]) => ({
    activations: () => activations,
    current: () => current,
  });
  const look = (
    before: PinRecord,
    pods: V1Pod[],
    current: string | undefined,
    activations?: { revision: string; at: number }[],
  ) =>
    nextPins(
      before,
      pods.flatMap((each) => podUse(each) ?? []),
      NAMES,
      history(current, activations),
    );

  test('a Pod that runs keeps what it saw at its start, whatever is active later', () => {
    const first = look({}, [pod({ started: 1 })], OLD);
    expect(pinnedBy(first, UID, OLD)).toEqual(['ml/reader']);
    const flipped = [
      { revision: OLD, at: T0 - MINUTE * 60 },
      { revision: NEW, at: T0 + 60 * MINUTE },
    ];
    const later = look(first, [pod({ started: 1 })], NEW, flipped);
    expect(pinnedBy(later, UID, OLD)).toEqual(['ml/reader']);
    expect(pinnedBy(later, UID, NEW)).toEqual([]);
  });

  test('a Pod that has not started pins all that has been current since it was made', () => {
    const flipped = [
      { revision: OLD, at: T0 - MINUTE * 60 },
      { revision: NEW, at: T0 + 10 * MINUTE },
    ];
    const pins = look({}, [pod({ phase: 'Pending' })], NEW, flipped);
    expect(pinnedBy(pins, UID, OLD)).toHaveLength(1);
    expect(pinnedBy(pins, UID, NEW)).toHaveLength(1);
  });

  test('are gone with the Pod, and not before: also when its volume’s PV has gone', () => {
    const first = look({}, [pod({ started: 1 })], OLD);
    const without = { ...NAMES, byClaim: () => undefined };
    const later = nextPins(first, [podUse(pod({ started: 1 }))!], without, history(OLD));
    expect(pinnedBy(later, UID, OLD)).toHaveLength(1);
    expect(look(first, [], OLD)).toEqual({});
  });

  test('a Pod that was made anew under its name is another', () => {
    const first = look({}, [pod({ started: 1 })], OLD);
    const flipped = [{ revision: NEW, at: T0 + 60 * MINUTE }];
    const again = look(first, [pod({ uid: 'pod-2', created: 70, started: 71 })], NEW, flipped);
    expect(pinnedBy(again, UID, OLD)).toEqual([]);
    expect(pinnedBy(again, UID, NEW)).toHaveLength(1);
  });

  test('are read as they were written, and anything else as none', () => {
    const pins = look({}, [pod({ started: 1 })], OLD);
    expect(parsePins(Buffer.from(JSON.stringify(pins)))).toEqual(pins);
    for (const text of ['', 'null', '[]', '{"a":1}', '{"a":{"namespace":1}}', '{'])
      expect(parsePins(Buffer.from(text))).toEqual({});
  });
});
