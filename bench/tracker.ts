/** Rows 9 and 10: announces a second, by a program of its own. */
import { join } from 'node:path';
import { runCommand } from '../test/cluster/command.ts';
import type { Bench } from './bench.ts';

export const TRACKER: Bench = {
  name: 'tracker',
  about: 'rows 9 and 10: announces a second and memory a peer, beside opentracker and bare Node http',
  async run({ runs, log }) {
    const script = join(import.meta.dirname, 'tracker', 'main.ts');
    const { stdout } = await runCommand(process.execPath, [script, '--runs', `${runs}`]);
    log(stdout.trim());
    return { rows: [], text: stdout.trim() };
  },
};
