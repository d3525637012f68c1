/** A process that is measured: its CPU time and memory as the kernel counts them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Mutex } from '../base/index.ts';
import { bound } from '../test/cluster/bound-process.ts';

/** Clock ticks a second of the times in /proc. */
const TICKS_PER_SECOND = 100;

/** A program that runs. Invariant: after stop() it is gone, and also when this process ends in whatever way. */
export class MeasuredProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<unknown>;
  readonly #lines: string[] = [];
  #onLine: () => void = () => {};
  readonly #reading = new Mutex();
  #errors = '';

  /** @param namespace a network namespace by its name; the present one by default */
  constructor(command: readonly [string, ...string[]], namespace?: string) {
    const [program, ...args] = namespace === undefined ? command : inNamespace(namespace, command);
    this.#name = command.join(' ');
    const ends = bound(program, args, 'KILL');
    this.#child = spawn(ends.program, ends.args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close').catch(() => undefined);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = `${this.#errors}${text}`.slice(-2000);
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.#lines.push(line);
      this.#onLine();
    });
    void this.#ended.then(() => this.#onLine());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** User and system time so far, in seconds, of all its threads. */
  cpuSeconds(): number {
    const [, , ...fields] = readFileSync(`/proc/${this.pid}/stat`, 'utf8')
      .replace(/\(.*\)/s, 'x')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** The most memory it has had resident so far, in bytes; pages of mapped files count. */
  peakBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  }

  /**
   * The next line of its output that `matches`; lines before it are passed over. Calls take turns.
   * @throws Error if it ends before
   */
  line(matches: (line: string) => boolean): Promise<string> {
    return this.#reading.run(() => this.#nextLine(matches));
  }

  async #nextLine(matches: (line: string) => boolean): Promise<string> {
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift())
        if (matches(line)) return line;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`${this.#name} ended too early: ${this.#errors.trim() || 'it did not say why'}`);
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
      });
    }
  }

  /**
   * The next line that comes from now on and `matches`.
   * @throws Error if it ends before
   */
  newLine(matches: (line: string) => boolean): Promise<string> {
    this.#lines.length = 0;
    return this.line(matches);
  }

  /** Ends it at once. */
  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

function inNamespace(namespace: string, command: readonly string[]): [string, ...string[]] {
  return ['ip', 'netns', 'exec', namespace, ...command];
}
