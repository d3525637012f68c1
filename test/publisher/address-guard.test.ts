// The address guard: a table of what is refused, and that no spelling of a refused IPv4 address gets through.
import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Agent } from 'undici';
import { createAddressGuard, guardedConnector, type Resolver } from '../../publisher/address-guard.ts';
import { PublishError } from '../../publisher/errors.ts';

const plain = createAddressGuard({ deniedCidrs: [], allowedCidrs: [] });
const strict = createAddressGuard({
  deniedCidrs: ['10.0.0.0/8', 'fd00::/8', '192.0.2.7'],
  allowedCidrs: ['10.1.0.0/16', '127.0.0.0/8', '169.254.0.0/16'],
});

describe('createAddressGuard', () => {
  test.each([
    '127.0.0.1',
    '127.255.0.9',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::127.0.0.1',
    '64:ff9b::169.254.169.254',
    '2002:7f00:1::',
    'not an address',
    '',
  ])('%s is refused always', (address) => {
    expect(plain.problem(address)).toBeDefined();
    expect(strict.problem(address)).toBeDefined();
  });

  test.each(['93.184.216.34', '10.0.0.1', '192.168.1.1', '2606:2800:220:1::1', 'fd12::1', '::ffff:10.0.0.1'])(
    '%s may be a source where nothing is denied',
    (address) => {
      expect(plain.problem(address)).toBeUndefined();
    },
  );

  test.each([
    ['10.0.0.1', false],
    ['10.1.0.1', true],
    ['::ffff:10.0.0.1', false],
    ['::ffff:10.1.0.1', true],
    ['64:ff9b::10.0.0.1', false],
    ['fd00::1', false],
    ['192.0.2.7', false],
    ['192.0.2.8', true],
  ])('%s under denied and allowed ranges: %s', (address, passes) => {
    expect(strict.problem(address) === undefined).toBe(passes);
  });

  test('every spelling of a refused address is refused', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.constantFrom('127', '169.254', '0', '10.2'), byte, byte, byte, (prefix, a, b, c) => {
        const v4 = [...prefix.split('.'), a, b, c].slice(0, 4).join('.');
        const hex = v4
          .split('.')
          .map((part) => Number(part).toString(16).padStart(2, '0'))
          .join('');
        const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`;
        for (const spelling of [
          v4,
          `::ffff:${v4}`,
          `::ffff:${groups}`,
          `64:ff9b::${groups}`,
          `2002:${groups}::`,
        ]) {
          expect(strict.problem(spelling)).toBeDefined();
        }
      }),
    );
  });

  test('what is no CIDR is named', () => {
    expect(() => createAddressGuard({ deniedCidrs: ['10.0.0.0/99'], allowedCidrs: [] })).toThrow(
      /"10\.0\.0\.0\/99"/,
    );
  });
});

describe('guardedConnector', () => {
  async function failure(url: string, resolver: Resolver): Promise<PublishError> {
    const agent = new Agent({ connect: guardedConnector(plain, { connectTimeoutMs: 500, resolver }) });
    try {
      await agent.request({ origin: url, path: '/', method: 'GET' });
    } catch (error) {
      return error as PublishError;
    } finally {
      await agent.destroy();
    }
    throw new Error('the request must fail');
  }

  test('a name of which all addresses are refused', async () => {
    const addresses: LookupAddress[] = [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ];
    const error = await failure('http://rebound.example:1', (_host, callback) => callback(null, addresses));
    expect(error).toBeInstanceOf(PublishError);
    expect(error.code).toBe('SourceForbiddenAddress');
    expect(error.message).toMatch(/rebound\.example \(127\.0\.0\.1\): it is a loopback address/);
  });

  test('a name is resolved once, and asked for nothing else', async () => {
    const asked: string[] = [];
    await failure('http://name.example:1', (host, callback) => {
      asked.push(host);
      callback(null, [{ address: '169.254.169.254', family: 4 }]);
    });
    expect(asked).toEqual(['name.example']);
  });
});
