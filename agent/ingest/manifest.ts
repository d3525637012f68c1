// The manifest: what a revision is. Invariant: the same files give the same text, the same digest and the same
// revision, wherever they were hashed.
import { createHash } from 'node:crypto';
import { comparePaths } from '../../api/index.ts';

/** First line of a manifest: its format. */
const FORMAT = 'enxame-manifest/1';

/** A file of a manifest. */
export interface ManifestFile {
  path: string;
  sizeBytes: number;
  executable: boolean;
  /** 64 hexadecimal digits. */
  sha256: string;
}

/** The manifest's text: a line a file, in byte order of path, whatever the order handed in. */
function manifestText(files: readonly ManifestFile[]): string {
  const lines = [...files]
    .sort((a, b) => comparePaths(a.path, b.path))
    .map(
      ({ sha256, sizeBytes, executable, path }) =>
        `${sha256} ${sizeBytes} ${executable ? 'x' : '-'} ${path}\n`,
    );
  return `${FORMAT}\n${lines.join('')}`;
}

/** `sha256:` and the SHA-256 of the manifest. */
export function manifestDigest(files: readonly ManifestFile[]): string {
  return `sha256:${createHash('sha256').update(manifestText(files)).digest('hex')}`;
}
