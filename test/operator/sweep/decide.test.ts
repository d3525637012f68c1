import { expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { persistentVolume } from '../../../operator/claim/volume.ts';
import { publisherPod } from '../../../operator/publishing/publisher-pod.ts';
import { findOrphans } from '../../../operator/sweep/decide.ts';
import { distribution, nodeContent, publisherSettings, STATE, UID } from '../objects.ts';

const reservation = {
  uid: UID,
  attempt: 1,
  sourceState: STATE,
  distributionName: 'model',
  podNamespace: 'ml',
  podName: 'pod',
};
const volume = persistentVolume(distribution(), 'weights', '/var/lib/enxame');
const pod: V1Pod = publisherPod(distribution(), reservation, '10.0.0.1', publisherSettings);
const everything = {
  contents: [nodeContent({ name: 'a', reservations: [reservation] })],
  volumes: [{ ...volume, metadata: { ...volume.metadata, uid: 'v' } }],
  pods: [{ ...pod, metadata: { ...pod.metadata, uid: 'p' } }],
};
const of = { uid: UID, namespace: 'ml', name: 'model' };

test('what belongs to a distribution that is there stays', () => {
  expect(findOrphans({ uids: new Set([UID]), ...everything })).toEqual([]);
});

test('what belongs to none is found, with the name of whose it was', () => {
  expect(findOrphans({ uids: new Set(), ...everything })).toEqual([
    { kind: 'reservation', of, node: 'a' },
    { kind: 'volume', of, name: `enxame-${UID}`, uid: 'v' },
    { kind: 'pod', of, namespace: 'ml', name: 'pod', uid: 'p' },
  ]);
});

test('what carries no label, or half of them, is nobody’s business', () => {
  const bare = { metadata: { name: 'x', uid: 'x', labels: { 'enxame.dev/distribution-uid': UID } } };
  expect(
    findOrphans({ uids: new Set(), contents: [], volumes: [bare, { metadata: {} }], pods: [bare] }),
  ).toEqual([]);
});
