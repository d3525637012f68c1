import { expect, test } from '@jest/globals';
import { readConfig } from '../../operator/config.ts';

const env = {
  POD_NAME: 'enxame-operator-x',
  POD_NAMESPACE: 'enxame-system',
  ENXAME_IMAGE: 'enxame/enxame:0.1.0',
};

test('what the chart must say is enough', () => {
  expect(readConfig(env)).toMatchObject({
    namespace: 'enxame-system',
    contentRoot: '/var/lib/enxame',
    port: 9100,
    publisher: {
      image: 'enxame/enxame:0.1.0',
      deadlineSeconds: 86_400,
      deniedCidrs: [],
      authorities: undefined,
    },
    tracker: { replicas: 2, serviceAccount: 'enxame-tracker', zoneSharePercent: 66 },
  });
});

test('everything can be said', () => {
  const config = readConfig({
    ...env,
    ENXAME_IMAGE_PULL_SECRETS: 'a, b',
    ENXAME_TRACKER_REPLICAS: '3',
    ENXAME_TRACKER_ZONE_SHARE_PERCENT: '40',
    ENXAME_TRACKER_SCHEDULING: '{"nodeSelector":{"disk":"fast"}}',
    ENXAME_PUBLISHER_DENIED_CIDRS: '10.0.0.0/8,fd00::/8',
    ENXAME_PUBLISHER_ENVIRONMENT: '{"HTTPS_PROXY":"http://proxy"}',
    ENXAME_PUBLISHER_CA_CONFIG_MAP: 'trust/ca.crt',
  });
  expect(config.publisher).toMatchObject({
    imagePullSecrets: ['a', 'b'],
    deniedCidrs: ['10.0.0.0/8', 'fd00::/8'],
    environment: { HTTPS_PROXY: 'http://proxy' },
    authorities: { configMap: 'trust', key: 'ca.crt' },
  });
  expect(config.tracker).toMatchObject({
    replicas: 3,
    zoneSharePercent: 40,
    scheduling: { nodeSelector: { disk: 'fast' } },
  });
});

test.each([
  [{ POD_NAMESPACE: '' }, 'POD_NAMESPACE'],
  [{ ENXAME_IMAGE: undefined }, 'ENXAME_IMAGE'],
  [{ ENXAME_TRACKER_REPLICAS: '0' }, 'ENXAME_TRACKER_REPLICAS'],
  [{ ENXAME_TRACKER_REPLICAS: '2.5' }, 'ENXAME_TRACKER_REPLICAS'],
  [{ ENXAME_TRACKER_ZONE_SHARE_PERCENT: '67' }, 'ENXAME_TRACKER_ZONE_SHARE_PERCENT'],
  [{ ENXAME_TRACKER_RESOURCES: '{' }, 'ENXAME_TRACKER_RESOURCES'],
  [{ ENXAME_TRACKER_SCHEDULING: '[]' }, 'ENXAME_TRACKER_SCHEDULING'],
  [{ ENXAME_PUBLISHER_ENVIRONMENT: '{"A":1}' }, 'ENXAME_PUBLISHER_ENVIRONMENT'],
  [{ ENXAME_PUBLISHER_CA_CONFIG_MAP: 'trust' }, 'ENXAME_PUBLISHER_CA_CONFIG_MAP'],
])('%j is refused, by name', (wrong, name) => {
  expect(() => readConfig({ ...env, ...wrong })).toThrow(
    expect.objectContaining({ code: 'InvalidConfiguration', message: expect.stringContaining(name) }),
  );
});
