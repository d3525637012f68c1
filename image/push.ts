/**
 * Puts the image into a registry, with crane (go-containerregistry): it knows the registries' ways to log in, and the
 * credentials and credential helpers that docker and podman keep. One on the PATH is used; else Go builds it, once.
 */
import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ensureBinaries } from '../test/cluster/binaries.ts';
import { REGISTRY_PROGRAMS } from '../test/cluster/go-programs.ts';
import type { Image } from './archive.ts';

/** Where an image is to be called from: a registry, a path in it, and a tag. */
export interface ImageReference {
  /** Registry and path: `registry.example.com/team/enxame`. */
  readonly repository: string;
  readonly tag: string;
}

// The grammar of distribution's reference package, without digests: what is pushed has the digest that it has.
const REGISTRY = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Reads REGISTRY/NAME:TAG.
 *
 * @throws Error that says what is wrong with it
 */
export function parseImageReference(text: string): ImageReference {
  const refuse = (what: string): never => {
    throw new Error(
      `--push is '${text}': ${what}; it must be REGISTRY/NAME:TAG, such as registry.example.com/enxame:0.1.0`,
    );
  };
  if (text.includes('@')) return refuse('a digest is found by pushing');
  const slash = text.indexOf('/');
  if (slash < 0) return refuse('it names no registry');
  const registry = text.slice(0, slash);
  // As docker has it: a first part without a dot, a colon or upper case is a folder of Docker Hub.
  if (!/[.:]/.test(registry) && registry !== 'localhost') return refuse(`'${registry}' is no registry`);
  if (!REGISTRY.test(registry)) return refuse(`'${registry}' is no registry`);
  const [path = '', tag, ...more] = text.slice(slash + 1).split(':');
  if (more.length > 0) return refuse('it has a colon too many');
  if (!PATH.test(path))
    return refuse(`'${path}' is no name (lower-case letters, digits, and . _ - / between them)`);
  if (tag === undefined) return refuse('it has no tag');
  if (!TAG.test(tag)) return refuse(`'${tag}' is no tag`);
  return { repository: `${registry}/${path}`, tag };
}

/** Writes an image as an OCI layout: a folder, of which crane pushes the very bytes. */
async function writeLayout(image: Image, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (const [path, bytes] of image.entries) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

/** Runs a program, with its messages on stderr; undefined if there is no such program. */
async function runProgram(program: string, args: readonly string[]): Promise<number | undefined> {
  const child = spawn(program, args, { stdio: ['ignore', 2, 2] });
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/**
 * Pushes an image; what the registry has already is not sent again.
 *
 * @param folder for the image's files meanwhile; removed afterwards
 * @throws Error if the registry did not take it; crane has said why on stderr
 */
export async function pushImage(
  image: Image,
  { repository, tag }: ImageReference,
  { folder, plainHttp }: { readonly folder: string; readonly plainHttp: boolean },
): Promise<void> {
  await writeLayout(image, folder);
  try {
    const name = `${repository}:${tag}`;
    const args = ['push', ...(plainHttp ? ['--insecure'] : []), folder, name];
    const code =
      (await runProgram('crane', args)) ??
      (await runProgram(
        join(await ensureBinaries({ set: REGISTRY_PROGRAMS, programs: ['crane'] }), 'crane'),
        args,
      ));
    if (code === 0) return;
    throw new Error(
      `${name} was not pushed: what the registry said stands above. ` +
        (plainHttp
          ? 'Log in with docker login or podman login if it asks who you are'
          : 'Log in with docker login or podman login if it asks who you are; add --plain-http if it has no TLS'),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
