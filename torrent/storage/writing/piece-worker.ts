// A thread that hashes and writes pieces: each message is a list of them, answered by a list of outcomes.
import { parentPort } from 'node:worker_threads';
import type { PieceMessage } from './piece-thread.ts';
import { writePieceNow } from './piece-write.ts';

/** Memory that was shown to this thread, by its number. */
const memory = new Map<number, Uint8Array>();

parentPort?.on('message', ({ forgotten, pieces }: PieceMessage) => {
  for (const number of forgotten) memory.delete(number);
  const outcomes = pieces.map(({ number, shown, lengthBytes, expected, parts }) => {
    if (shown !== undefined) memory.set(number, new Uint8Array(shown));
    const data = (memory.get(number) as Uint8Array).subarray(0, lengthBytes);
    return writePieceNow({ data, expected, parts });
  });
  parentPort?.postMessage(outcomes);
});
