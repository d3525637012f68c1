// The image as a container runtime gets it: its archive is read as the specification says, unpacked, and the
// program in it is run from there and from nothing else.
import { execFile, type SpawnOptions, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BuiltImage, buildImage } from '../../../image/build.ts';

const run = promisify(execFile);
const LARGEST_IMAGE_BYTES = 150e6;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

let built: BuiltImage;
let folder: string;
/** The archive, unpacked. */
let layout: string;
/** The image's root file system. */
let root: string;

const readJson = async (path: string) => JSON.parse(await readFile(join(layout, path), 'utf8'));
const blob = (digest: string) => `blobs/${digest.replace(':', '/')}`;

async function unpack(archive: string, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  await run('tar', ['-xpf', archive, '-C', into, '--no-same-owner']);
}

beforeAll(async () => {
  built = await buildImage();
  folder = await mkdtemp(join(tmpdir(), 'enxame-image-'));
  layout = join(folder, 'layout');
  root = join(folder, 'root');
  await unpack(built.archive, layout);
  const [manifest] = (await readJson('manifest.json')) as [{ Layers: string[] }];
  for (const layer of manifest.Layers) await unpack(join(layout, layer), root);
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The image's Node with the image as the whole file system, as a command of this machine. */
function commandInImage(args: readonly string[]): [program: string, args: string[], options: SpawnOptions] {
  const command = ['chroot', root, '/usr/local/bin/node', ...args];
  const [program = '', ...rest] =
    process.getuid?.() === 0 ? command : ['unshare', '--map-root-user', ...command];
  return [program, rest, { env: { PATH: `${process.env.PATH}:/usr/sbin` } }];
}

function runInImage(...args: string[]) {
  const [program, rest, { env }] = commandInImage(args);
  return run(program, rest, { env });
}

/** Starts a program that runs until it is ended. */
function startInImage(...args: string[]) {
  const [program, rest, { env }] = commandInImage(args);
  const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const firstLine = once(createInterface(child.stdout), 'line').then(([line]) => line as string);
  const end = async () => {
    child.kill('SIGTERM');
    const [code] = await closed;
    return code as number | null;
  };
  return { firstLine, end };
}

describe('the archive', () => {
  test('is an OCI layout whose blobs are what their names say', async () => {
    expect(await readJson('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
    const { manifests } = (await readJson('index.json')) as { manifests: Descriptor[] };
    const manifest = await readJson(blob(manifests[0]?.digest ?? ''));
    expect(manifests[0]?.digest).toBe(built.digest);
    for (const { digest, size } of [...manifests, manifest.config, ...manifest.layers] as Descriptor[]) {
      const bytes = await readFile(join(layout, blob(digest)));
      expect(bytes.length).toBe(size);
      expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(digest);
    }
  });

  test('has its name in both formats', async () => {
    const { version } = JSON.parse(
      await readFile(join(import.meta.dirname, '../../../package.json'), 'utf8'),
    );
    expect(built.name).toBe(`docker.io/enxame/enxame:${version}`);
    const { manifests } = (await readJson('index.json')) as { manifests: Descriptor[] };
    expect(manifests[0]?.annotations?.['io.containerd.image.name']).toBe(built.name);
    const [docker] = await readJson('manifest.json');
    expect(docker.RepoTags).toEqual([`enxame/enxame:${version}`]);
  });

  test('runs the program, as a user with a number that is not root', async () => {
    const [docker] = await readJson('manifest.json');
    const { config, rootfs } = await readJson(docker.Config);
    expect(config.Entrypoint).toEqual(['/usr/local/bin/node', '/app/enxame.js']);
    expect(config.User).toBe('65532:65532');
    expect(rootfs.diff_ids).toHaveLength(docker.Layers.length);
  });

  test('is under 150 MB, uncompressed', async () => {
    const [docker] = (await readJson('manifest.json')) as [{ Layers: string[] }];
    let bytes = 0;
    for (const layer of docker.Layers) bytes += (await readFile(join(layout, layer))).length;
    expect(bytes).toBeLessThan(LARGEST_IMAGE_BYTES);
  });

  test('is the same when it is built again, and then not written again', async () => {
    const again = await buildImage();
    expect(again.digest).toBe(built.digest);
    expect(again.changed).toBe(false);
  });
});

describe('the root file system', () => {
  test('runs the program', async () => {
    const { stdout } = await runInImage('/app/enxame.js', '--version');
    expect(stdout).toMatch(/^enxame \d+\.\d+\.\d+\n$/);
  });

  test.each([
    ['tracker', 2, 'nothing to serve'],
    ['wait', 2, 'missing required argument'],
    ['nonsense', 2, 'unknown command'],
  ])('has all that `enxame %s` loads', async (command, code, message) => {
    await expect(runInImage('/app/enxame.js', command)).rejects.toMatchObject({
      code,
      stderr: expect.stringContaining(message),
    });
  });

  test('makes a torrent, says what it holds, and passes its content on through a tracker', async () => {
    await mkdir(join(root, 'tmp', 'content'), { recursive: true });
    await writeFile(join(root, 'tmp', 'content', 'file'), randomBytes(300_000));
    const tracker = startInImage('/app/enxame.js', 'tracker', '--open', '--json', '--listen', '127.0.0.1:0');
    const { port } = JSON.parse(await tracker.firstLine);
    const announce = `http://127.0.0.1:${port}/announce`;
    await runInImage('/app/enxame.js', 'create', '/tmp/content', '-o', '/tmp/x.torrent', '-t', announce);
    const { stdout } = await runInImage('/app/enxame.js', 'inspect', '--json', '/tmp/x.torrent');
    expect(JSON.parse(stdout)).toMatchObject({ name: 'content', bytes: 300_000, trackers: [[announce]] });
    const listen = ['--listen', '127.0.0.1:0', '--json'];
    const seed = startInImage('/app/enxame.js', 'seed', '/tmp/x.torrent', '/tmp/content', ...listen);
    expect(await seed.firstLine).toContain('"listening"');
    await runInImage('/app/enxame.js', 'download', '/tmp/x.torrent', '/tmp/target', ...listen);
    expect(await readFile(join(root, 'tmp', 'target', 'content', 'file'))).toEqual(
      await readFile(join(root, 'tmp', 'content', 'file')),
    );
    for (const { end } of [seed, tracker]) expect(await end()).toBe(0);
  });

  test('simulates a swarm', async () => {
    const { stdout } = await runInImage(
      '/app/enxame.js',
      'simulate',
      '--nodes',
      '5',
      '--pieces',
      '20',
      '--json',
    );
    expect(JSON.parse(stdout)).toMatchObject({ nodes: 5 });
  });

  test('resolves names by its hosts file', async () => {
    // As the kubelet does for each Pod.
    await mkdir(join(root, 'etc'), { recursive: true });
    await writeFile(join(root, 'etc', 'hosts'), '127.1.2.3 somewhere.example\n');
    const script =
      'require("dns").lookup("somewhere.example", (error, address) => console.log(error ?? address))';
    expect((await runInImage('-e', script)).stdout).toBe('127.1.2.3\n');
  });

  test('has a name for its user', async () => {
    expect(await readFile(join(root, 'etc', 'passwd'), 'utf8')).toMatch(/^enxame:x:65532:65532:/m);
  });

  test('holds no shell', async () => {
    await expect(readFile(join(root, 'bin', 'sh'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
