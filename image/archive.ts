/**
 * An image as one file that both `ctr images import` and `docker load` take: an OCI image layout that also has the
 * manifest.json of docker's own format, over the same blobs.
 */
import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { digestOf, type Layer } from './layer.ts';

const EPOCH = new Date(0);
const CREATED = '1970-01-01T00:00:00Z';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** How an image is called and started. */
export interface ImageSettings {
  /** Registry, path and tag: `docker.io/enxame/enxame:0.1.0`. */
  readonly name: string;
  readonly entrypoint: readonly string[];
  readonly user: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** An image that is ready to be written. */
export interface Image {
  readonly name: string;
  /** Of its manifest: what a registry calls it by. */
  readonly digest: string;
  /** By path within the archive. */
  readonly entries: ReadonlyMap<string, Buffer>;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const blobPath = (digest: string) => `blobs/${digest.replace(':', '/')}`;

/** Puts layers, lowest first, together. */
export function makeImage(settings: ImageSettings, layers: readonly { layer: Layer; what: string }[]): Image {
  const config = json({
    created: CREATED,
    architecture: 'amd64',
    os: 'linux',
    config: {
      User: settings.user,
      Env: Object.entries(settings.environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: settings.entrypoint,
      WorkingDir: '/',
      Labels: settings.labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ layer }) => layer.diffId) },
    history: layers.map(({ what }) => ({ created: CREATED, created_by: what })),
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: layers.map(({ layer: { mediaType, digest, bytes } }) => ({
      mediaType,
      digest,
      size: bytes.length,
    })),
  });
  const digest = digestOf(manifest);
  const tag = settings.name.slice(settings.name.lastIndexOf(':') + 1);
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: MANIFEST_TYPE,
        digest,
        size: manifest.length,
        platform: { architecture: 'amd64', os: 'linux' },
        annotations: { 'io.containerd.image.name': settings.name, 'org.opencontainers.image.ref.name': tag },
      },
    ],
  });
  const dockerManifest = json([
    {
      Config: blobPath(digestOf(config)),
      RepoTags: [settings.name.replace(/^docker\.io\//, '')],
      Layers: layers.map(({ layer }) => blobPath(layer.digest)),
    },
  ]);
  const entries = new Map<string, Buffer>([
    ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
    ['index.json', index],
    ['manifest.json', dockerManifest],
    [blobPath(digest), manifest],
    [blobPath(digestOf(config)), config],
  ]);
  for (const { layer } of layers) entries.set(blobPath(layer.digest), layer.bytes);
  return { name: settings.name, digest, entries };
}

/** Writes an image's archive; a reader sees the old file or the new one, never a part. */
export async function writeImage(image: Image, path: string): Promise<void> {
  const archive = pack();
  const written = pipeline(archive, createWriteStream(`${path}.part`));
  for (const folder of ['blobs/', 'blobs/sha256/'])
    archive.entry({ name: folder, type: 'directory', mode: 0o755, mtime: EPOCH });
  for (const [name, bytes] of image.entries) archive.entry({ name, mode: 0o644, mtime: EPOCH }, bytes);
  archive.finalize();
  await written;
  await rename(`${path}.part`, path);
}
