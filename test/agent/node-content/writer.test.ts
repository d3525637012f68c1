// When the status of a node is written.
import { beforeEach, expect, test } from '@jest/globals';
import { StatusWriter } from '../../../agent/node-content/writer.ts';
import type { NodeContentStatus } from '../../../api/index.ts';
import { FakeClock } from '../../base/fake-clock.ts';
import { TestLogger } from '../harness.ts';

let clock: FakeClock;
let status: NodeContentStatus;
let writes: { at: number; status: NodeContentStatus }[];
let isDown: boolean;
let writer: StatusWriter;
let start: number;

beforeEach(() => {
  clock = new FakeClock();
  start = clock.now();
  status = {};
  writes = [];
  isDown = false;
  writer = new StatusWriter({
    clock,
    random: () => 0,
    logger: new TestLogger(),
    compose: async () => status,
    write: async (written) => {
      if (isDown) throw new Error('the API server is away');
      writes.push({ at: clock.now() - start, status: written });
    },
  });
});

const version = (text: string): NodeContentStatus => ({ agent: { version: text } });
const change = (text: string, isUrgent = false) => {
  status = version(text);
  writer.changed(isUrgent);
};
const storage = (usedBytes: number) => ({
  storage: { capacityBytes: 10, usedBytes, reservedBytes: 0, availableBytes: 1 },
});

test('changes of one second are one write, of the last state', async () => {
  change('1');
  await clock.advance(900);
  change('2');
  expect(writes).toEqual([]);
  await clock.advance(200);
  expect(writes).toEqual([{ at: 1000, status: version('2') }]);
});

test('what others wait for is written at once', async () => {
  change('1', true);
  await clock.advance(0);
  expect(writes.map(({ at }) => at)).toEqual([0]);
});

test('urgent changes in a row are slowed down to one a second', async () => {
  for (let index = 0; index < 50; index++) {
    change(String(index), true);
    await clock.advance(100);
  }
  expect(writes.length).toBeGreaterThan(4);
  expect(writes.length).toBeLessThanOrEqual(8);
  expect(writes.at(-1)?.at).toBeGreaterThan(4000);
});

test('a status that did not change is not written', async () => {
  change('1');
  await clock.advance(1000);
  writer.changed(true);
  await clock.advance(10_000);
  expect(writes).toHaveLength(1);
});

test('figures of the disk alone are written once a minute', async () => {
  status = storage(1);
  writer.changed();
  await clock.advance(1000);
  for (let used = 2; used < 100; used++) {
    status = storage(used);
    writer.changed();
    await clock.advance(1000);
  }
  expect(writes.length).toBeGreaterThanOrEqual(2);
  expect(writes.length).toBeLessThanOrEqual(3);
});

test('a write that failed is tried again with longer and longer pauses until it succeeds', async () => {
  isDown = true;
  change('1', true);
  await clock.advance(120_000);
  expect(writes).toEqual([]);
  isDown = false;
  await clock.advance(45_000);
  expect(writes).toHaveLength(1);
});

test('changes while the API server is away do not make more calls', async () => {
  isDown = true;
  let calls = 0;
  writer = new StatusWriter({
    clock,
    random: () => 0,
    logger: new TestLogger(),
    compose: async () => status,
    write: async () => {
      calls += 1;
      throw new Error('away');
    },
  });
  for (let second = 0; second < 60; second++) {
    change(String(second), true);
    await clock.advance(1000);
  }
  expect(calls).toBeLessThan(10);
});

test('an object that was made anew is written to at once, though the status is the same', async () => {
  change('1', true);
  await clock.advance(0);
  writer.forget();
  await clock.advance(0);
  expect(writes).toHaveLength(2);
});
