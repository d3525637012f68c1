/** The image of the container that holds a Pod's namespaces: one static program. */
import { readFile } from 'node:fs/promises';
import { makeImage, writeImage } from '../../image/archive.ts';
import { makeLayer } from '../../image/layer.ts';

/** As containerd's configuration names it. */
export const PAUSE_IMAGE = 'docker.io/library/pause:local';

/** Writes the archive of the image. */
export async function writePauseImage(program: string, archive: string): Promise<void> {
  const content = await readFile(program);
  const layer = await makeLayer([{ path: 'pause', type: 'file', mode: 0o755, content }], { gzip: false });
  const settings = {
    name: PAUSE_IMAGE,
    entrypoint: ['/pause'],
    user: '65535:65535',
    environment: {},
    labels: {},
  };
  await writeImage(makeImage(settings, [{ layer, what: 'pause' }]), archive);
}
