import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { announceHeaders } from '../../agent/announce-token.ts';
import { FakeClock } from '../base/fake-clock.ts';

test('the token is read anew as it is replaced, and kept while the file is away', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-token-'));
  const path = join(folder, 'token');
  const clock = new FakeClock();
  const headers = announceHeaders(path, clock);
  expect(headers()).toEqual({});
  await writeFile(path, 'one\n');
  clock.skip(10_000);
  expect(headers()).toEqual({ authorization: 'Bearer one' });
  await writeFile(path, 'two\n');
  clock.skip(9_999);
  expect(headers()).toEqual({ authorization: 'Bearer one' });
  clock.skip(1);
  expect(headers()).toEqual({ authorization: 'Bearer two' });
  await rm(folder, { recursive: true });
  clock.skip(10_000);
  expect(headers()).toEqual({ authorization: 'Bearer two' });
});
