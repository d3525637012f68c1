// In a process of its own: it is bounded for good.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const MIB = 1024 * 1024;
const MODULE = join(import.meta.dirname, '..', '..', 'torrent', 'young-generation.ts');

/** How large the young generation becomes in a process that allocates a lot, in MiB. */
function youngMebibytes(isBounded: boolean): number {
  const script = `
    import { boundYoungGeneration } from ${JSON.stringify(MODULE)};
    import { getHeapSpaceStatistics } from 'node:v8';
    if (${isBounded}) for (let times = 0; times < 2; times++) boundYoungGeneration();
    let kept = [];
    for (let i = 0; i < 4e6; i++) {
      kept.push({ i, list: [i] });
      if (kept.length > 1e5) kept = [];
      if (i % 1e3 === 0) await new Promise(setImmediate);
    }
    console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', script])) / MIB;
}

test('the young generation of a busy process stays below 32 MiB, which it does not by itself', () => {
  expect(youngMebibytes(false)).toBeGreaterThan(32);
  expect(youngMebibytes(true)).toBeLessThanOrEqual(32);
});
