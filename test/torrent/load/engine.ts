// The parent's end of an engine in a process of its own. Invariant: a process that ends unasked fails whatever
// waits for it.
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerAddress } from '../../../torrent/discovery/discovery.ts';
import type { TorrentProgress } from '../../../torrent/session/types.ts';
import type { Answer, EngineSettings, JoinQuestion, MemoryAnswer, Question } from './questions.ts';

const MIB = 1024 * 1024;

/** An engine with a heap of its own. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (answer: Answer) => void; reject: (error: Error) => void }
  >();
  #nextId = 0;
  #ended: string | undefined;
  readonly address: PeerAddress;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.address = { host: '127.0.0.1', port };
    child.on('message', (message: { id?: number; answer?: Answer; error?: string }) => {
      const waiting = this.#waiting.get(message.id ?? -1);
      this.#waiting.delete(message.id ?? -1);
      if (message.error === undefined) waiting?.resolve(message.answer ?? {});
      else waiting?.reject(new Error(message.error));
    });
    child.once('exit', (code, signal) => {
      this.#ended = `the engine's process ended (${signal ?? code})`;
      for (const { reject } of this.#waiting.values()) reject(new Error(this.#ended));
      this.#waiting.clear();
    });
  }

  /** Starts one whose heap (its old generation) may have so many MiB. */
  static async start(heapMebibytes: number, settings: EngineSettings = {}): Promise<EngineProcess> {
    const child = fork(join(import.meta.dirname, 'engine-process.ts'), [JSON.stringify(settings)], {
      execArgv: [`--max-old-space-size=${heapMebibytes}`, '--expose-gc'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('exit', (code) => reject(new Error(`the engine's process did not start (${code})`)));
    });
    return new EngineProcess(child, port);
  }

  async #ask(question: Question): Promise<Answer> {
    if (this.#ended !== undefined) throw new Error(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, question });
    });
  }

  async join(question: Omit<JoinQuestion, 'kind'>): Promise<void> {
    await this.#ask({ kind: 'join', ...question });
  }

  async leave(infoHash: string): Promise<void> {
    await this.#ask({ kind: 'leave', infoHash });
  }

  /** Undefined if there is no such torrent (yet). */
  async progress(infoHash: string): Promise<TorrentProgress | undefined> {
    return (await this.#ask({ kind: 'progress', infoHash })).progress;
  }

  /** Memory after a collection of garbage. */
  async memory(): Promise<MemoryAnswer> {
    const { memory } = await this.#ask({ kind: 'memory' });
    if (memory === undefined) throw new Error('no answer about memory');
    return memory;
  }

  /** Resident memory as the system counts it, garbage included. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024;
  }

  stop(): void {
    this.#ended ??= 'the engine was stopped';
    this.#child.kill('SIGKILL');
  }
}

/** Bytes for people. */
export function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
