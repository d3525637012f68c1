// Runs the program as it is shipped, as a process of its own, for the tests.
import { type ChildProcess, spawn } from 'node:child_process';

/** The installed program; test/run.ts installs the package before any test and names it here. */
export function shippedProgram(): string {
  const program = process.env.ENXAME_PROGRAM;
  if (program === undefined)
    throw new Error('ENXAME_PROGRAM names no program; run tests by `npm run test:…`');
  return program;
}

/** A run of the program. */
export interface Run {
  readonly child: ChildProcess;
  /** Lines of stdout that came so far. */
  readonly lines: string[];
  /** Resolves with the next line of stdout that no call had before, or undefined at its end. */
  nextLine(): Promise<string | undefined>;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Starts `enxame ARGS…`, or another program with these arguments. */
export function enxame(
  args: readonly string[],
  env: Record<string, string> = {},
  entry: string = shippedProgram(),
): Run {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', entry, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let rest = '';
  const lines: string[] = [];
  let taken = 0;
  let isOver = false;
  const waiting: ((line: string | undefined) => void)[] = [];
  const handOut = () => {
    while (waiting.length > 0 && (isOver || taken < lines.length)) waiting.shift()?.(lines[taken++]);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    rest += text;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      lines.push(line);
    }
    handOut();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => {
      isOver = true;
      handOut();
      resolve({ code, stdout, stderr });
    });
  });
  const nextLine = () =>
    new Promise<string | undefined>((resolve) => {
      waiting.push(resolve);
      handOut();
    });
  return { child, lines, nextLine, ended };
}

/** Options of download and seed: a free port of loopback, and events as lines of JSON. */
export const LOOPBACK = ['--listen', '127.0.0.1:0', '--json'];

/** What the tests look at in an event. */
export interface PrintedEvent {
  readonly event: string;
  readonly port: number;
  readonly pieces: number;
  readonly bytes: number;
}

/**
 * The first event of a run that is what is waited for, be it printed already.
 * @throws Error if the run ends without it
 */
export async function eventOf(run: Run, isIt: (event: PrintedEvent) => boolean): Promise<PrintedEvent> {
  for (let place = 0; ; place++) {
    if (place === run.lines.length) await Promise.race([run.nextLine(), run.ended]);
    const line = run.lines[place];
    if (line === undefined) throw new Error(`it ended: ${JSON.stringify(await run.ended)}`);
    const event = JSON.parse(line) as PrintedEvent;
    if (isIt(event)) return event;
  }
}

/** HOST:PORT of a run that listens on 127.0.0.1. @throws Error if that is not the first that it prints */
export async function addressOf(run: Run): Promise<string> {
  const { event, port } = await eventOf(run, () => true);
  if (event !== 'listening') throw new Error(`it said '${event}' before it listened`);
  return `127.0.0.1:${port}`;
}

/** The runs of a test. Invariant: after endAll() none is left. */
export class Runs {
  readonly #runs: Run[] = [];

  /** As enxame(). */
  start(args: readonly string[], env: Record<string, string> = {}): Run {
    const run = enxame(args, env);
    this.#runs.push(run);
    return run;
  }

  async endAll(): Promise<void> {
    for (const { child } of this.#runs) child.kill('SIGKILL');
    await Promise.all(this.#runs.splice(0).map(({ ended }) => ended));
  }
}
