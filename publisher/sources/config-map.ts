// The keys of a mounted ConfigMap, each as a file. The kubelet mounts it as KEY -> ..data/KEY with
// ..data -> ..TIME, and swaps ..data as a whole: all keys are read through one resolved ..data, so that they
// are of one version. A ConfigMap is at most 1 MiB, so it is read at once and kept.
import { createHash } from 'node:crypto';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceReason } from '../../api/index.ts';
import { systemCode } from '../../base/index.ts';
import { PublishError } from '../errors.ts';
import type { Source, SourceFile } from './source.ts';

async function snapshotFolder(mountPath: string): Promise<string> {
  try {
    return await realpath(join(mountPath, '..data'));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    // Not a kubelet's mount: a plain folder.
    return mountPath;
  }
}

/** A source that reads the ConfigMap mounted at `mountPath`. */
export function createConfigMapSource(options: { mountPath: string; name: string }): Source {
  const { mountPath, name } = options;
  const contents = new Map<string, Buffer>();

  return {
    async resolve(signal) {
      contents.clear();
      try {
        const folder = await snapshotFolder(mountPath);
        for (const entry of await readdir(folder, { withFileTypes: true })) {
          signal.throwIfAborted();
          // Keys cannot begin with two dots; the kubelet's own entries do.
          if (entry.isFile() && !entry.name.startsWith('..')) {
            contents.set(entry.name, await readFile(join(folder, entry.name)));
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        throw new PublishError(
          SourceReason.Unreachable,
          `ConfigMap ${name} could not be read where it is mounted (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
          { cause: error, passing: true },
        );
      }
      if (contents.size === 0) {
        throw new PublishError(
          SourceReason.NotFound,
          `ConfigMap ${name} must have at least one key; each key becomes a file`,
        );
      }
      return [...contents].map(([path, content]): SourceFile => {
        const sha256 = createHash('sha256').update(content).digest('hex');
        return { path, executable: false, sizeBytes: content.length, sha256, validator: `sha256:${sha256}` };
      });
    },

    async *open(file, offset) {
      const content = contents.get(file.path);
      if (content === undefined) {
        throw new PublishError(SourceReason.Changed, `key ${file.path} of ConfigMap ${name} is gone`);
      }
      yield content.subarray(offset);
    },
  };
}
