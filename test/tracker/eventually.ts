// Waits for a condition, for the tests.
import { PATIENCE } from '../patience.ts';

const LOOK_EVERY_MILLISECONDS = 10;

/** Resolves once `holds` does; rejects with what it last threw, or plainly, after `milliseconds`. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
): Promise<void> {
  const deadline = Date.now() + PATIENCE * milliseconds;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE * milliseconds} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MILLISECONDS));
  }
}
