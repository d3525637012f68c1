/** The version of the program: that of package.json, written into the bundle when it is made. */
import { readFileSync } from 'node:fs';

/** Replaced by image/bundle.ts; absent where the sources run as they are. */
declare const ENXAME_VERSION: string | undefined;

function versionOfSources(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

/** For example `0.1.0`. */
export const VERSION: string = typeof ENXAME_VERSION === 'string' ? ENXAME_VERSION : versionOfSources();
