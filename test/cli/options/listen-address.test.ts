import { describe, expect, test } from '@jest/globals';
import { UsageError } from '../../../cli/errors.ts';
import { parseListenAddress } from '../../../cli/options/listen-address.ts';

describe('parseListenAddress', () => {
  test.each([
    ['127.0.0.1:6969', '127.0.0.1', 6969],
    ['localhost:0', 'localhost', 0],
    ['[::]:6969', '::', 6969],
    ['[::1]:65535', '::1', 65_535],
    [':6969', '::', 6969],
  ])('%s', (text, host, port) => {
    expect(parseListenAddress('--listen', text)).toEqual({ host, port });
  });

  test.each([
    '',
    '6969',
    'host',
    'host:',
    'host:x',
    'host:65536',
    'host:-1',
    '::1:80',
    '[host]:80',
    '[]:80',
    '[::1]',
  ])('%p is refused, with the name of the option', (text) => {
    expect(() => parseListenAddress('--listen', text)).toThrow(UsageError);
    expect(() => parseListenAddress('--listen', text)).toThrow(`--listen is '${text}'`);
  });
});
