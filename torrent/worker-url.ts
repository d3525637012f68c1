// Where the code of a worker thread lies. Invariant: it is found from the sources and from the bundle alike; in
// the bundle every worker is an entry of its own beside the chunks (image/bundle.ts).

/** The file of a worker of this room, by its name without extension: `hash-worker`. */
export function workerUrl(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
}
