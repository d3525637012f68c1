import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { openStorage } from '../../../../torrent/storage/open-storage.ts';
import { PieceThread } from '../../../../torrent/storage/writing/piece-thread.ts';
import { makeFolder, makeTorrent, PIECE } from '../content.ts';

let folder: string;
let remove: () => void;
let thread: PieceThread;
let fd: number;

beforeEach(() => {
  ({ folder, remove } = makeFolder());
  thread = new PieceThread({ worthBytesPerSecond: 0 });
  fd = openSync(join(folder, 'file'), 'w+');
});

afterEach(async () => {
  await thread.close();
  closeSync(fd);
  remove();
});

function shared(byte: number, length = PIECE): Buffer {
  return Buffer.from(new SharedArrayBuffer(length)).fill(byte);
}

const sha1 = (data: Uint8Array) => createHash('sha1').update(data).digest();
const whole = (data: Buffer, position = 0) => [{ fd, start: 0, lengthBytes: data.length, position }];

describe('the thread for pieces', () => {
  test('writes good pieces where they belong, and not a byte of a bad one', async () => {
    const [good, bad, split] = [shared(1), shared(2), shared(3)];
    const parts = [
      { fd, start: 0, lengthBytes: 100, position: 2 * PIECE },
      { fd, start: 100, lengthBytes: PIECE - 100, position: 3 * PIECE },
    ];
    expect(
      await Promise.all([
        thread.write({ data: good, expected: sha1(good), parts: whole(good) }),
        thread.write({ data: bad, expected: sha1(good), parts: whole(bad, PIECE) }),
        thread.write({ data: split, expected: sha1(split), parts }),
        thread.write({ data: good, expected: sha1(good), parts: [] }),
      ]),
    ).toEqual(['verified', 'corrupt', 'verified', 'verified']);
    const written = readFileSync(join(folder, 'file'));
    expect(written.subarray(0, PIECE)).toEqual(Buffer.alloc(PIECE, 1));
    expect(written.subarray(PIECE, 2 * PIECE)).toEqual(Buffer.alloc(PIECE));
    expect(written.subarray(2 * PIECE, 2 * PIECE + 100)).toEqual(Buffer.alloc(100, 3));
    expect(written.subarray(3 * PIECE)).toEqual(Buffer.alloc(PIECE - 100, 3));
  });

  test('sees what is in a buffer now, also one that it knows', async () => {
    const data = shared(1);
    expect(await thread.write({ data, expected: sha1(data), parts: [] })).toBe('verified');
    const before = sha1(data);
    data.fill(2);
    expect(await thread.write({ data, expected: before, parts: [] })).toBe('corrupt');
    expect(await thread.write({ data, expected: sha1(data), parts: [] })).toBe('verified');
  });

  test("tells the system's error, and goes on", async () => {
    const data = shared(1);
    const readOnly = openSync(join(folder, 'file'), 'r');
    const parts = [{ fd: readOnly, start: 0, lengthBytes: PIECE, position: 0 }];
    await expect(thread.write({ data, expected: sha1(data), parts })).rejects.toMatchObject({
      code: 'EBADF',
    });
    closeSync(readOnly);
    expect(await thread.write({ data, expected: sha1(data), parts: whole(data) })).toBe('verified');
  });

  test('when it ends, what waits fails and the next piece starts another', async () => {
    const data = shared(1);
    const piece = { data, expected: sha1(data), parts: whole(data) };
    await thread.write(piece);
    // Sent to a thread that is being ended: done or lost, but never without an answer.
    const closed = thread.close();
    const waiting = thread.write(piece).catch((error: { code: string }) => error.code);
    await closed;
    expect(['verified', 'DiskIo']).toContain(await waiting);
    expect(await thread.write(piece)).toBe('verified');
  });

  test('it is wanted for long pieces, and for others once they come fast', async () => {
    const choosy = new PieceThread({ worthBytesPerSecond: 10 * PIECE });
    expect(choosy.wants(PIECE)).toBe(false);
    expect(choosy.wants(1024 * 1024 + 1)).toBe(true);
    // Fast: this loop lets no time pass but for the thread to start.
    let calls = 0;
    while (!choosy.wants(5 * PIECE) && calls < 1e5) {
      calls++;
      await new Promise(setImmediate);
    }
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(1e5);
    await choosy.close();
  });

  test('it ends by itself when there is nothing to do', async () => {
    const brief = new PieceThread({ idleMilliseconds: 1 });
    const data = shared(1);
    for (let i = 0; i < 3; i++) {
      expect(await brief.write({ data, expected: sha1(data), parts: [] })).toBe('verified');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await brief.close();
  });

  test('it ends after 10 s without work', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance'] });
    const terminate = jest.spyOn(Worker.prototype, 'terminate');
    const lazy = new PieceThread();
    try {
      const data = shared(1);
      await lazy.write({ data, expected: sha1(data), parts: [] });
      jest.advanceTimersByTime(9_999);
      expect(terminate).not.toHaveBeenCalled();
      jest.advanceTimersByTime(1);
      expect(terminate).toHaveBeenCalledTimes(1);
    } finally {
      jest.useRealTimers();
      terminate.mockRestore();
      await lazy.close();
    }
  });

  test('it is worth its start where 32 MiB come in a second', () => {
    jest.useFakeTimers({ now: 5000 });
    const unref = jest.spyOn(Worker.prototype, 'unref');
    const choosy = new PieceThread();
    try {
      for (let i = 0; i < 31; i++) choosy.wants(1024 * 1024);
      jest.advanceTimersByTime(1001);
      for (let i = 0; i < 31; i++) choosy.wants(1024 * 1024);
      // A thread that has nothing to do yet does not keep the process.
      expect(unref).not.toHaveBeenCalled();
      choosy.wants(1024 * 1024);
      expect(unref).toHaveBeenCalled();
    } finally {
      jest.useRealTimers();
      unref.mockRestore();
    }
    return choosy.close();
  });

  test('a piece that comes while it ends for want of work goes to the next one', async () => {
    const data = shared(1);
    const piece = { data, expected: sha1(data), parts: whole(data) };
    const { terminate } = Worker.prototype;
    let duringEnd: Promise<string> | undefined;
    const brief = new PieceThread({ idleMilliseconds: 1 });
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    Worker.prototype.terminate = function (this: Worker) {
      const code = terminate.call(this);
      duringEnd ??= brief.write(piece);
      resolve();
      return code;
    };
    try {
      await brief.write(piece);
      await ended;
      expect(await duringEnd).toBe('verified');
    } finally {
      Worker.prototype.terminate = terminate;
      await brief.close();
    }
  });
});

describe('a storage with the thread', () => {
  const { metainfo, content, piece } = makeTorrent([
    { path: 'a', length: 3 * PIECE + 100 },
    // More files in one piece than the thread is given.
    ...Array.from({ length: 12 }, (_, index) => ({ path: `small/${index}`, length: 700 })),
    { path: 'z', length: 5 * PIECE },
  ]);
  const root = () => join(folder, 'root');
  const open = () =>
    openStorage({ metainfo, root: root(), resumeFile: join(folder, 'x.resume'), pieceThread: thread });

  test('holds what passed its hash, in the files, and nothing else', async () => {
    const storage = await open();
    const writes = Array.from({ length: metainfo.pieceCount }, (_, index) => {
      const data = storage.allocatePiece(metainfo.pieceLengthAt(index));
      expect(data.buffer).toBeInstanceOf(SharedArrayBuffer);
      piece(index).copy(data);
      if (index === 2) data.fill(0);
      return storage.writePiece(index, data);
    });
    // In the middle of the writes: what it records is on the disk.
    await storage.saveResume();
    const outcomes = await Promise.all(writes);
    expect(outcomes).toEqual(outcomes.map((_, index) => (index === 2 ? 'corrupt' : 'verified')));
    expect(storage.have.get(2)).toBe(false);
    expect(existsSync(join(root(), 'small', '11'))).toBe(true);

    const last = storage.allocatePiece(PIECE);
    piece(2).copy(last);
    expect(await storage.writePiece(2, last)).toBe('verified');
    await storage.saveResume();
    await storage.finalize();
    await storage.saveResume();
    await storage.close();
    const files = metainfo.files.map(({ path }) => readFileSync(join(root(), ...path)));
    expect(Buffer.concat(files)).toEqual(content);

    let hashed = 0;
    const again = await openStorage({
      metainfo,
      root: root(),
      resumeFile: join(folder, 'x.resume'),
      onChecked: () => hashed++,
    });
    expect([again.have.isFull, hashed]).toEqual([true, 0]);
    await again.close();
  });
});
