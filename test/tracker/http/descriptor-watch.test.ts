import { expect, test } from '@jest/globals';
import { DescriptorWatch } from '../../../tracker/http/descriptor-watch.ts';
import { collectedLog } from '../collected-log.ts';

function watchWith() {
  const logger = collectedLog();
  const clock = { now: 0 };
  let failure: Error | undefined;
  const take = async () => {
    if (failure !== undefined) throw failure;
  };
  const watch = new DescriptorWatch(logger, () => clock.now, take);
  /** Looks once a second, so many times, while descriptors are to be had, or opening one fails like this. */
  const pass = async (seconds: number, code?: string) => {
    failure = code === undefined ? undefined : Object.assign(new Error(code), { code });
    for (let second = 0; second < seconds; second += 1) {
      clock.now += 1_000;
      await watch.look();
    }
    return logger.lines.map(({ level }) => level);
  };
  return { pass, logger };
}

test.each(['EMFILE', 'ENFILE'])('%s is told once, and its end', async (code) => {
  const { pass, logger } = watchWith();
  expect(await pass(10)).toEqual([]);
  expect(await pass(100, code)).toEqual(['error']);
  // Connections that come and go.
  expect(await pass(5)).toEqual(['error']);
  expect(await pass(1, code)).toEqual(['error']);
  expect(await pass(29)).toEqual(['error']);
  expect(await pass(2)).toEqual(['error', 'info']);
  expect(await pass(100)).toEqual(['error', 'info']);
  expect(await pass(1, code)).toEqual(['error', 'info', 'error']);
  expect(logger.lines[0]?.message).toContain('no file descriptors are left');
});

test('another failure says nothing about descriptors', async () => {
  const { pass } = watchWith();
  expect(await pass(10, 'EACCES')).toEqual([]);
});
