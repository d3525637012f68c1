// Test files run in the order of their paths, and the one that removes everything and installs it again last.
import { createRequire } from 'node:module';

const { default: Sequencer } = createRequire(import.meta.url)('@jest/test-sequencer');

const LAST = 'install.test.ts';

export default class PathSequencer extends Sequencer {
  sort(tests) {
    const isLast = ({ path }) => (path.endsWith(LAST) ? 1 : 0);
    return [...tests].sort((a, b) => isLast(a) - isLast(b) || (a.path < b.path ? -1 : 1));
  }
}
