import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { announceHeaders } from '../../agent/announce-token.ts';
import type { Clock } from '../../kube/clock.ts';

test('the token is read anew as it is replaced, and kept while the file is away', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-token-'));
  const path = join(folder, 'token');
  let now = 0;
  const headers = announceHeaders(path, { now: () => now } as Clock);
  expect(headers()).toEqual({});
  await writeFile(path, 'one\n');
  now = 10_000;
  expect(headers()).toEqual({ authorization: 'Bearer one' });
  await writeFile(path, 'two\n');
  now = 19_999;
  expect(headers()).toEqual({ authorization: 'Bearer one' });
  now = 20_000;
  expect(headers()).toEqual({ authorization: 'Bearer two' });
  await rm(folder, { recursive: true });
  now = 30_000;
  expect(headers()).toEqual({ authorization: 'Bearer two' });
});
