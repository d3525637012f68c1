// The agent's environment.
import { describe, expect, test } from '@jest/globals';
import { readSettings } from '../../agent/settings.ts';

const ENV = { NODE_NAME: 'a', POD_NAMESPACE: 'enxame-system', POD_UID: 'p', POD_IP: '10.0.0.1' };

test('the defaults are those of the design', () => {
  expect(readSettings(ENV, '1.2.3')).toEqual({
    nodeName: 'a',
    podUID: 'p',
    address: '10.0.0.1',
    namespace: 'enxame-system',
    contentRoot: '/var/lib/enxame',
    hostContentRoot: '/var/lib/enxame',
    version: '1.2.3',
    peerPort: 6881,
    httpPort: 9100,
  });
});

test('everything can be set', () => {
  const settings = readSettings(
    {
      ...ENV,
      ENXAME_CONTENT_ROOT: '/data',
      ENXAME_PEER_PORT: '1',
      ENXAME_HTTP_PORT: '65535',
      ENXAME_ABSENCE_SECONDS: '5',
      ENXAME_PIN_LIMIT_SECONDS: '7',
    },
    '',
  );
  expect(settings).toMatchObject({
    contentRoot: '/data',
    peerPort: 1,
    httpPort: 65535,
    deletion: { afterList: 5000 },
    pinLimitMilliseconds: 7000,
  });
});

describe('a setting that makes no sense is named', () => {
  test.each([
    [{ NODE_NAME: '' }, 'NODE_NAME must be set'],
    [{ POD_NAMESPACE: undefined }, 'POD_NAMESPACE must be set'],
    [{ ENXAME_CONTENT_ROOT: 'var/lib' }, 'ENXAME_CONTENT_ROOT must be an absolute path'],
    [{ ENXAME_PEER_PORT: '65536' }, 'ENXAME_PEER_PORT is "65536" and must be a whole number up to 65535'],
    [{ ENXAME_HTTP_PORT: '-1' }, 'ENXAME_HTTP_PORT is "-1" and must be a whole number up to 65535'],
    [{ ENXAME_ABSENCE_SECONDS: '1h' }, 'ENXAME_ABSENCE_SECONDS is "1h" and must be a whole number'],
  ])('%p', (change, message) => {
    expect(() => readSettings({ ...ENV, ...change }, '')).toThrow(message);
  });
});
