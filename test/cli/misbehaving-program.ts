// A program that does what its argument says, to see what becomes of it (run.test.ts).
import { type Program, runProgram } from '../../cli/run.ts';

const PROGRAMS: Readonly<Record<string, Program>> = {
  /** Does not end when it is asked to. */
  stubborn: async ({ logger }) => {
    logger.info({}, 'started');
    return new Promise(() => setInterval(() => {}, 1000));
  },
  /** Ends when it sees SIGTERM itself, and lives so long. */
  patient: async ({ logger }) => {
    const seen = new Promise((resolve) => process.once('SIGTERM', resolve));
    logger.info({}, 'started');
    await seen;
    return 5;
  },
  /** Ends, and leaves a timer behind. */
  untidy: async () => {
    setInterval(() => {}, 1000);
    return 3;
  },
  /** Says more than a pipe has room for, and ends at once. */
  talkative: async () => {
    process.stdout.write(`${'x'.repeat(1_000_000)}\n`);
    process.stderr.write('all is said\n');
    return 0;
  },
  throws: async () => {
    throw new Error('the disk\nis on fire');
  },
  rejects: async () => {
    void Promise.reject(new Error('nobody looks'));
    return new Promise(() => setInterval(() => {}, 1000));
  },
};

const program = PROGRAMS[process.argv[2] ?? ''];
if (program === undefined) throw new Error('no such program');
await runProgram('test', program, { quiet: process.argv[2] === 'talkative' });
