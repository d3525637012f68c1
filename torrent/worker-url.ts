// Where the code of a worker thread lies. Invariant: it is found from the sources and from the bundle alike; in
// the bundle every worker is an entry of its own beside the chunks (image/bundle.ts).
import { basename } from 'node:path';

/** The file of a worker of this room, by its path without extension: `hash-worker`, `storage/writing/piece-worker`. */
export function workerUrl(path: string): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? `./${path}.ts` : `./${basename(path)}.js`, import.meta.url);
}
