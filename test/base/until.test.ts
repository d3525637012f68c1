import { expect, test } from '@jest/globals';
import { until } from './until.ts';

test('gives what the look gave, once that is neither false nor undefined', async () => {
  const answers = [undefined, false, 0, 1] as const;
  let looks = 0;
  expect(await until('a number', () => answers[looks++])).toBe(0);
});

test('says what did not come, and how things stand then', async () => {
  let looks = 0;
  const never = () => {
    looks += 1;
    return false;
  };
  await expect(until('an answer', never, 0.001)).rejects.toThrow('s: an answer');
  await expect(until(() => `${looks} looks`, never, 0.001)).rejects.toThrow(/s: \d+ looks$/);
});

test('ends with what the look throws', async () => {
  const broken = () => Promise.reject(new Error('broken'));
  await expect(until('an answer', broken)).rejects.toThrow('broken');
});
