// `npm run image -- --push` against a real registry, with credentials as docker and podman keep them.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { VERSION } from '../../../cli/version.ts';
import { cacheFolder } from '../../cluster/binaries.ts';
import { freeLoopbackPorts } from '../../cluster/loopback-ports.ts';
import { ACCOUNT, startRegistry } from '../../registry/registry.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const BASIC = Buffer.from(`${ACCOUNT.user}:${ACCOUNT.password}`).toString('base64');

let folder: string;
let registry: string;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-push-'));
  const [port] = await freeLoopbackPorts(1);
  registry = `127.0.0.1:${port}`;
  stops.push(await startRegistry({ folder: join(folder, 'registry'), address: registry, hasAccounts: true }));
}, 600_000);

afterAll(async () => {
  for (const stop of stops) await stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the command that the README names. */
async function push(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(ROOT, 'image', 'build.ts'), ...args], {
    // No credentials of whoever runs the tests, but the crane that lies there already.
    env: { PATH: process.env.PATH, HOME: folder, XDG_CACHE_HOME: dirname(cacheFolder()), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

const ask = (path: string) =>
  fetch(`http://${registry}/v2/${path}`, {
    headers: { authorization: `Basic ${BASIC}`, accept: 'application/vnd.oci.image.manifest.v1+json' },
  });

/** Makes a folder with a configuration of docker or podman. */
async function configuration(name: string, file: string, content: object): Promise<string> {
  const place = join(folder, name);
  await mkdir(place, { recursive: true });
  await writeFile(join(place, file), JSON.stringify(content));
  return place;
}

test.each([
  {
    what: "docker's configuration",
    env: async () => ({
      DOCKER_CONFIG: await configuration('docker', 'config.json', { auths: { [registry]: { auth: BASIC } } }),
    }),
  },
  {
    what: "podman's authentication file",
    env: async () => {
      const place = await configuration('podman', 'auth.json', { auths: { [registry]: { auth: BASIC } } });
      return { REGISTRY_AUTH_FILE: join(place, 'auth.json') };
    },
  },
  {
    what: 'a credential helper',
    env: async () => {
      const place = await configuration('helper', 'config.json', {
        credHelpers: { [registry]: 'enxame-test' },
      });
      const helper = join(place, 'docker-credential-enxame-test');
      const answer = JSON.stringify({ Username: ACCOUNT.user, Secret: ACCOUNT.password });
      await writeFile(helper, `#!/bin/sh\n[ "$1" = get ] && cat >/dev/null && echo '${answer}'\n`);
      await chmod(helper, 0o755);
      return { DOCKER_CONFIG: place, PATH: `${place}:${process.env.PATH}` };
    },
  },
])('pushes the image with the credentials of $what, and prints its digest', async ({ env }) => {
  const name = `${registry}/team/enxame:${VERSION}`;
  const { code, stdout, stderr } = await push(['--push', name, '--plain-http'], await env());
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const [printed, digest] = stdout.split('\n');
  expect(printed).toBe(name);
  const reply = await ask(`team/enxame/manifests/${VERSION}`);
  const manifest = Buffer.from(await reply.arrayBuffer());
  expect(digest).toBe(`sha256:${createHash('sha256').update(manifest).digest('hex')}`);
  for (const { digest: layer, size } of JSON.parse(manifest.toString()).layers) {
    const blob = Buffer.from(await (await ask(`team/enxame/blobs/${layer}`)).arrayBuffer());
    expect(blob.length).toBe(size);
    expect(`sha256:${createHash('sha256').update(blob).digest('hex')}`).toBe(layer);
  }
});

test('says what to do where the registry lets nobody in', async () => {
  const { code, stdout, stderr } = await push(['--push', `${registry}/team/enxame:1`, '--plain-http']);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/image: .* was not pushed: .* Log in with docker login or podman login/);
});

test.each([[], ['--push', 'registry.example.com/enxame:1']])(
  'refuses another processor, by %p',
  async (...args) => {
    const arch = "Object.defineProperty(process, 'arch', { value: 'arm64' })";
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(arch)}`;
    const { code, stdout, stderr } = await push(args, { NODE_OPTIONS });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('image: this is linux on arm64, and the image is built on Linux on x64 only');
  },
);

test('says what to do where nothing answers', async () => {
  const [port] = await freeLoopbackPorts(1);
  const { code, stderr } = await push(['--push', `127.0.0.1:${port}/enxame:1`]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/image: .* was not pushed/);
});

test.each([
  ['enxame:1', 'it names no registry'],
  ['team/enxame:1', "'team' is no registry"],
  ['registry.example.com/enxame', 'it has no tag'],
  ['registry.example.com/Enxame:1', "'Enxame' is no name"],
  ['registry.example.com/enxame:-', "'-' is no tag"],
  ['registry.example.com/enxame:1@sha256:00', 'a digest is found by pushing'],
])('refuses --push %s before it builds anything', async (name, why) => {
  const { code, stdout, stderr } = await push(['--push', name]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`image: --push is '${name}': ${why}`);
});
