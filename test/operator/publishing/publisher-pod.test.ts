import { describe, expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import type { ContentDistributionSpec, Reservation } from '../../../api/index.ts';
import {
  ingestUrlOf,
  type PublisherSettings,
  publisherPod,
} from '../../../operator/publishing/publisher-pod.ts';
import { distribution, publisherSettings, STATE, UID } from '../objects.ts';

const reservation: Reservation = {
  uid: UID,
  attempt: 3,
  sourceState: STATE,
  distributionName: 'model',
  podNamespace: 'ml',
  podName: 'enxame-publish-x',
};

function pod(
  spec: Partial<ContentDistributionSpec> = {},
  settings: Partial<PublisherSettings> = {},
  address = '10.0.0.7',
): V1Pod {
  return publisherPod(distribution(spec), reservation, address, { ...publisherSettings, ...settings });
}

const env = (made: V1Pod) =>
  Object.fromEntries((made.spec?.containers[0]?.env ?? []).map(({ name, value }) => [name, value]));

test('meets Pod Security "restricted" and has no access to the API', () => {
  const { spec } = pod();
  expect(spec?.automountServiceAccountToken).toBe(false);
  expect(spec?.securityContext).toMatchObject({
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(spec?.containers[0]?.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
  });
  expect(spec?.restartPolicy).toBe('Never');
  expect(spec?.activeDeadlineSeconds).toBe(3600);
  expect(spec?.containers[0]?.resources?.limits).toBeDefined();
});

test('does not stay long on a node that does not answer', () => {
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'])
    expect(pod().spec?.tolerations).toContainEqual({
      ...{ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
    });
});

test('is told what to read and where to send it', () => {
  expect(env(pod({ source: { configMap: { name: 'c' }, sizeLimit: '1Mi' } }))).toEqual({
    ENXAME_LOG_LEVEL: 'info',
    ENXAME_INGEST_URL: 'http://10.0.0.7:9100',
    ENXAME_UID: UID,
    ENXAME_ATTEMPT: '3',
    ENXAME_SOURCE_STATE: STATE,
    ENXAME_SOURCE: '{"configMap":{"name":"c"},"sizeLimit":"1Mi"}',
    ENXAME_SIZE_LIMIT: '1048576',
    ENXAME_DENIED_CIDRS: '10.96.0.0/12',
    ENXAME_ALLOWED_CIDRS: '',
    ENXAME_SOURCE_STALL_SECONDS: '30',
  });
});

test('has an address in brackets where it is IPv6', () => {
  expect(ingestUrlOf(pod({}, {}, 'fd00::1'))).toBe('http://[fd00::1]:9100');
});

test('the kubelet replaces nothing in a URL', () => {
  const source = { http: { files: [{ path: 'a', url: 'https://example.com/$(POD_NAME)/$$' }] } };
  expect(env(pod({ source })).ENXAME_SOURCE).toContain('https://example.com/$$(POD_NAME)/$$$$');
});

describe('it mounts', () => {
  const volumes = (made: V1Pod) => made.spec?.volumes ?? [];

  test('a token for the agent, and nothing else, for a source without secrets', () => {
    expect(volumes(pod())).toEqual([
      {
        name: 'token',
        projected: {
          sources: [
            {
              serviceAccountToken: { audience: 'enxame.dev/ingest', expirationSeconds: 3600, path: 'token' },
            },
          ],
        },
      },
    ]);
  });

  test('one key of the headers Secret, and no other', () => {
    const source = {
      http: { files: [{ path: 'a', url: 'https://example.com/a' }], headersSecretRef: { name: 'auth' } },
    };
    expect(volumes(pod({ source }))[1]).toEqual({
      name: 'headers',
      secret: {
        secretName: 'auth',
        optional: true,
        items: [{ key: 'enxame.dev.headers', path: 'enxame.dev.headers' }],
      },
    });
  });

  test('the ConfigMap of a source', () => {
    expect(volumes(pod({ source: { configMap: { name: 'c' } } }))[1]).toEqual({
      name: 'config-map',
      configMap: { name: 'c', optional: true },
    });
  });

  test('each variable once: what the values repeat of ours does not count', () => {
    const made = pod(
      {},
      { environment: { ENXAME_UID: 'another', ENXAME_LOG_LEVEL: 'loud', NO_PROXY: '.svc' } },
    );
    const names = (made.spec?.containers[0]?.env ?? []).map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    expect(env(made)).toMatchObject({ NO_PROXY: '.svc' });
    expect(env(made).ENXAME_UID).toBe(env(pod({})).ENXAME_UID);
    expect(env(made).ENXAME_LOG_LEVEL).toBe(env(pod({})).ENXAME_LOG_LEVEL);
    const authorities = { NODE_EXTRA_CA_CERTS: '/etc/own.crt' };
    expect(env(pod({}, { environment: authorities }))).toMatchObject(authorities);
  });

  test('authorities of its own', () => {
    const made = pod(
      {},
      { authorities: { configMap: 'trust', key: 'bundle.pem' }, environment: { HTTPS_PROXY: 'http://p' } },
    );
    expect(env(made)).toMatchObject({
      NODE_EXTRA_CA_CERTS: '/var/run/enxame/authorities/ca.crt',
      HTTPS_PROXY: 'http://p',
    });
    expect(volumes(made)[1]).toMatchObject({
      configMap: { name: 'trust', items: [{ key: 'bundle.pem', path: 'ca.crt' }] },
    });
  });
});
