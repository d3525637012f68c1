/**
 * A layer of an image: a tar archive whose bytes follow from its files alone. Owner, times and order are fixed,
 * so the same files give the same digest on any machine.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

const EPOCH = new Date(0);
/** Fast rather than small: images are loaded more often than they are stored. */
const GZIP_LEVEL = 1;

/** A file of an image; all belong to root. */
export type ImageFile = {
  /** Relative to the root, without a leading slash. */
  readonly path: string;
  readonly mode: number;
} & (
  | { readonly type: 'file'; readonly content: Buffer }
  | { readonly type: 'folder' }
  | { readonly type: 'link'; readonly target: string }
);

/** A layer as an image refers to it. */
export interface Layer {
  /** Of the bytes as they are stored. */
  readonly digest: string;
  /** Of the tar archive itself; the same as `digest` unless it is compressed. */
  readonly diffId: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** `sha256:` and the hash in hex, as images name things. */
export const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The files and the folders that they lie in, parents first. */
function withParents(files: readonly ImageFile[]): ImageFile[] {
  const all = new Map<string, ImageFile>();
  for (const file of files) {
    for (let parent = dirname(file.path); parent !== '.'; parent = dirname(parent))
      if (!all.has(parent)) all.set(parent, { path: parent, type: 'folder', mode: 0o755 });
    all.set(file.path, file);
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Packs files into a layer. */
export async function makeLayer(
  files: readonly ImageFile[],
  { gzip }: { readonly gzip: boolean },
): Promise<Layer> {
  const archive = pack();
  const collected = buffer(archive);
  for (const file of withParents(files)) {
    const common = { mode: file.mode, uid: 0, gid: 0, mtime: EPOCH };
    if (file.type === 'file') archive.entry({ ...common, name: file.path }, file.content);
    else if (file.type === 'folder') archive.entry({ ...common, name: `${file.path}/`, type: 'directory' });
    else archive.entry({ ...common, name: file.path, type: 'symlink', linkname: file.target });
  }
  archive.finalize();
  const tar = await collected;
  const bytes = gzip ? gzipSync(tar, { level: GZIP_LEVEL }) : tar;
  return {
    digest: digestOf(bytes),
    diffId: digestOf(tar),
    mediaType: `application/vnd.oci.image.layer.v1.tar${gzip ? '+gzip' : ''}`,
    bytes,
  };
}
