import { describe, expect, test } from '@jest/globals';
import type { V1Deployment, V1Service } from '@kubernetes/client-node';
import { decideTrackers } from '../../../operator/trackers/decide.ts';
import {
  type TrackerSettings,
  trackerDeployment,
  trackerService,
} from '../../../operator/trackers/tracker-objects.ts';

const settings: TrackerSettings = {
  replicas: 2,
  namespace: 'enxame-system',
  instance: 'enxame',
  serviceAccount: 'enxame-tracker',
  replicaSecret: 'enxame-tracker-replicas',
  image: 'enxame/enxame:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: ['registry'],
  logLevel: 'debug',
  resources: {},
  zoneSharePercent: 50,
  scheduling: {},
  owner: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'enxame-operator', uid: 'o' },
};

function running(index: number, from: TrackerSettings = settings, available = 1): V1Deployment {
  const made = trackerDeployment(index, from);
  return {
    ...made,
    metadata: { ...made.metadata, generation: 1 },
    status: { observedGeneration: 1, availableReplicas: available, updatedReplicas: available },
  };
}

function decide(
  deployments: V1Deployment[],
  services: V1Service[],
  now: Partial<TrackerSettings> = {},
  reapply = false,
) {
  const decision = decideTrackers({ settings: { ...settings, ...now }, deployments, services, reapply });
  const names = (objects: readonly { metadata?: { name?: string } }[]) =>
    objects.map(({ metadata }) => metadata?.name);
  return {
    deployments: names(decision.applyDeployments),
    services: names(decision.applyServices),
    gone: [...names(decision.deleteDeployments), ...names(decision.deleteServices)],
    waiting: decision.waiting,
  };
}

const services = [trackerService(0, settings), trackerService(1, settings)];
const both = ['enxame-tracker-0', 'enxame-tracker-1'];

test('at first all replicas are made at once', () => {
  expect(decide([], [])).toEqual({ deployments: both, services: both, gone: [], waiting: 0 });
});

test('what is there as it shall be is left alone, unless it is applied anew', () => {
  expect(decide([running(0), running(1)], services)).toEqual({
    deployments: [],
    services: [],
    gone: [],
    waiting: 0,
  });
  expect(decide([running(0), running(1)], services, {}, true)).toMatchObject({
    deployments: both,
    services: both,
  });
});

describe('a new image', () => {
  const now = { image: 'enxame/enxame:0.2.0' };

  test('changes one replica at a time', () => {
    expect(decide([running(0), running(1)], services, now)).toMatchObject({
      deployments: ['enxame-tracker-0'],
      waiting: 1,
    });
    const upgraded = { ...settings, ...now };
    expect(decide([running(0, upgraded, 0), running(1)], services, now)).toMatchObject({
      deployments: [],
      waiting: 1,
    });
    expect(decide([running(0, upgraded), running(1)], services, now)).toMatchObject({
      deployments: ['enxame-tracker-1'],
      waiting: 0,
    });
  });

  test('also changes a replica that does not run', () => {
    expect(decide([running(0, settings, 0), running(1, settings, 0)], services, now).deployments).toEqual(
      both,
    );
  });
});

test('replicas beyond the number go, with their Services', () => {
  expect(decide([running(0), running(1)], services, { replicas: 1 })).toMatchObject({
    deployments: [],
    gone: ['enxame-tracker-1', 'enxame-tracker-1'],
  });
});

test('a tracker is restricted, owned by the operator, and its Service selects it alone', () => {
  const { spec, metadata } = trackerDeployment(1, settings);
  expect(metadata?.ownerReferences).toEqual([settings.owner]);
  expect(spec?.template.spec?.securityContext).toMatchObject({ runAsNonRoot: true });
  expect(spec?.template.spec?.containers[0]?.securityContext?.capabilities).toEqual({ drop: ['ALL'] });
  expect(spec?.template.spec?.imagePullSecrets).toEqual([{ name: 'registry' }]);
  expect(spec?.template.spec?.containers[0]?.env).toContainEqual({
    name: 'ENXAME_LOG_LEVEL',
    value: 'debug',
  });
  const { selector } = trackerService(1, settings).spec ?? {};
  expect(selector).toEqual(spec?.selector.matchLabels);
  expect(selector).not.toEqual(trackerService(0, settings).spec?.selector);
});

test('a tracker is told how much of its answers is of the zone of whoever asks', () => {
  const { spec } = trackerDeployment(0, settings);
  expect(spec?.template.spec?.containers[0]?.args).toContain('--zone-share=50%');
});
