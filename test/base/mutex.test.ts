import { expect, test } from '@jest/globals';
import { Mutex } from '../../base/index.ts';
import { settle } from './fake-clock.ts';

/** Work that writes down its beginning and its end, and ends when it is told to. */
function workOf(journal: string[]) {
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const work = (name: string) => async () => {
    const end = Promise.withResolvers<void>();
    ends.set(name, end);
    journal.push(`${name} begins`);
    await end.promise;
    journal.push(`${name} ends`);
    return name;
  };
  const end = async (name: string, error?: Error) => {
    if (error === undefined) ends.get(name)?.resolve();
    else ends.get(name)?.reject(error);
    await settle();
  };
  return { work, end };
}

test('work runs alone, in the order it came, whatever became of the work before', async () => {
  const journal: string[] = [];
  const { work, end } = workOf(journal);
  const mutex = new Mutex();
  const failing = expect(mutex.run(work('a'))).rejects.toThrow('broken');
  const second = mutex.run(work('b'));
  await settle();
  expect(journal).toEqual(['a begins']);
  await end('a', new Error('broken'));
  await failing;
  expect(journal).toEqual(['a begins', 'b begins']);
  await end('b');
  expect(await second).toBe('b');
});

test('shared work runs side by side, and never beside work that wants to be alone', async () => {
  const journal: string[] = [];
  const { work, end } = workOf(journal);
  const mutex = new Mutex();
  const all = [mutex.share(work('a')), mutex.share(work('b')), mutex.run(work('c')), mutex.share(work('d'))];
  await settle();
  expect(journal).toEqual(['a begins', 'b begins']);
  await end('b');
  await end('a');
  expect(journal.at(-1)).toBe('c begins');
  await end('c');
  expect(journal.at(-1)).toBe('d begins');
  await end('d');
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
});

test('it is idle once all that came before has ended', async () => {
  const { work, end } = workOf([]);
  const mutex = new Mutex();
  let isIdle = false;
  void mutex.run(work('a'));
  void mutex.share(work('b'));
  void mutex.idle().then(() => {
    isIdle = true;
  });
  await settle();
  await end('a');
  expect(isIdle).toBe(false);
  await end('b');
  expect(isIdle).toBe(true);
});
