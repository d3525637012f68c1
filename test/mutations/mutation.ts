/**
 * Changes to the engine that some test has to notice. Invariant: each names one place of one file, so that a list that
 * no longer fits the sources says so.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LISTS = join(import.meta.dirname, 'lists');

/** One change. */
export interface Mutation {
  /** The rule that it breaks, or the constant, in a few words. */
  readonly what: string;
  /** The file it changes, from the project's root. */
  readonly file: string;
  /** Stands once in the file, and what takes its place. */
  readonly find: string;
  readonly put: string;
  /** Regular expression over the paths of the tests of which one has to fail. */
  readonly tests: string;
  /** Why no test can fail: the change alters nothing that can be seen, but perhaps the time it takes. */
  readonly survives?: string;
}

/** All of the lists, in order. @throws Error where one is no list of mutations. */
export function readMutations(): Mutation[] {
  return readdirSync(LISTS)
    .sort()
    .flatMap((name) => JSON.parse(readFileSync(join(LISTS, name), 'utf8')) as Mutation[]);
}

/** The text with the change. @throws Error if what it changes does not stand there exactly once. */
export function mutate({ what, file, find, put }: Mutation, text: string): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`${what}: ${file} has no ${JSON.stringify(find)}`);
  if (text.indexOf(find, at + 1) >= 0) throw new Error(`${what}: ${file} has ${JSON.stringify(find)} twice`);
  if (find === put) throw new Error(`${what}: it changes nothing`);
  return text.slice(0, at) + put + text.slice(at + find.length);
}
