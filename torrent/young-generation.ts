// Bounds what V8 keeps for young objects. By itself that grows to 128 MiB wherever much is allocated for a while, and
// stays so: more than all that a small budget of memory allows for pieces.
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** From this size on it grows no more. Growing doubles it: it ends below twice of this. */
const ENOUGH_BYTES = 16 * 1024 * 1024;

let observer: PerformanceObserver | undefined;

/** Bytes that V8 has for young objects. */
function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
}

/**
 * Ends the growth of the young generation of this process once it is large enough. The flag that bounds it from the
 * start (`--max-semi-space-size`) cannot be set by a running program; the factor by which it grows can.
 */
export function boundYoungGeneration(): void {
  if (observer !== undefined) return;
  observer = new PerformanceObserver(() => {
    if (youngBytes() < ENOUGH_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    observer?.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}
