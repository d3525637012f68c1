// What is said, and done, about a machine that lacks something. The machine is a pretended one.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ClusterError } from '../../cluster/errors.ts';
import { findGo } from '../../cluster/go-toolchain.ts';
import { ensurePrerequisites, type Machine } from '../../cluster/prerequisites.ts';

const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n';
const NO_GO = 'there is no Go';

interface Pretended extends Machine {
  readonly commands: string[];
}

/** A machine that lacks some programs and files; what apt-get installs is then there. */
function machine(
  lacks: readonly string[],
  facts: Partial<Machine> & { policy?: string; go?: string; failing?: boolean } = {},
): Pretended {
  const commands: string[] = [];
  let installed = false;
  return {
    platform: 'linux',
    isRoot: true,
    osRelease: DEBIAN,
    has: (needed) => installed || !lacks.includes(needed),
    areBuilt: () => facts.go === undefined,
    goProblem: async () => (installed && commands.at(-1)?.includes('golang-go') ? undefined : facts.go),
    run: async (program, args) => {
      const command = [program, ...args].join(' ');
      commands.push(command);
      if (program === 'apt-cache') return facts.policy ?? '';
      if (facts.failing === true) throw new ClusterError('CommandFailed', 'no network');
      if (args[0] === 'install') installed = true;
      return '';
    },
    ...facts,
    commands,
  };
}

const check = (on: Machine, controlPlaneOnly = false) =>
  ensurePrerequisites({ log: () => undefined, controlPlaneOnly, machine: on });

test('somebody who is not root is told everything at once', async () => {
  const user = machine(['runc', 'tc', '/usr/lib/cni/bridge', '/usr/lib/cni/portmap'], {
    isRoot: false,
    go: NO_GO,
  });
  const error = await check(user).catch((caught: ClusterError) => caught);
  expect(error).toMatchObject({ code: 'PrerequisiteMissing' });
  const { message } = error as ClusterError;
  expect(message.split('\n').map((line) => line.replace(/(Go 1\.21).*; here/, '$1; here'))).toEqual([
    'This machine lacks:',
    '  - root, to make network namespaces and mounts: run the command with sudo',
    '  - runc (package runc)',
    '  - tc (package iproute2)',
    '  - /usr/lib/cni/bridge (package containernetworking-plugins)',
    '  - /usr/lib/cni/portmap (package containernetworking-plugins)',
    '  - Go 1.21; here there is no Go',
    'On Debian and Ubuntu: apt-get install runc iproute2 containernetworking-plugins',
  ]);
  expect(user.commands).toEqual([]);
});

test('an API server alone needs no root and no nodes’ programs', async () => {
  await expect(check(machine(['runc', 'tc'], { isRoot: false }), true)).resolves.toBeUndefined();
  await expect(check(machine(['openssl'], { isRoot: false }), true)).rejects.toThrow('openssl');
});

test('root on Debian gets what is missing installed, and nothing else', async () => {
  const root = machine(['runc', 'nft', 'tc']);
  await check(root);
  expect(root.commands).toEqual([
    'apt-get update --quiet=2',
    'apt-get install --yes --quiet=2 --no-install-recommends runc iproute2 nftables',
  ]);
});

test('a derivative of Ubuntu counts, another distribution does not', async () => {
  await expect(
    check(machine(['runc'], { osRelease: 'ID=mint\nID_LIKE="ubuntu debian"\n' })),
  ).resolves.toBeUndefined();
  const fedora = machine(['runc'], { osRelease: 'ID=fedora\n' });
  await expect(check(fedora)).rejects.toThrow('runc (package runc)');
  expect(fedora.commands).toEqual([]);
});

test('the distribution’s Go is installed where it is new enough', async () => {
  const debian13 = machine([], {
    go: NO_GO,
    policy: 'golang-go:\n  Installed: (none)\n  Candidate: 2:1.24~2\n',
  });
  await check(debian13);
  expect(debian13.commands.at(-1)).toMatch(/^apt-get install .* golang-go$/);
  const debian12 = machine(['runc'], { go: NO_GO, policy: 'golang-go:\n  Candidate: 2:1.19~1\n' });
  await expect(check(debian12)).rejects.toThrow('https://go.dev/dl/');
  expect(debian12.commands.at(-1)).not.toContain('golang-go');
});

test('a failure of apt-get is told along with what is missing', async () => {
  await expect(check(machine(['runc'], { failing: true }))).rejects.toThrow(
    /runc \(package runc\)[\s\S]*apt-get failed: no network/,
  );
});

test('a machine that lacks nothing is left alone', async () => {
  const ready = machine([]);
  await check(ready);
  expect(ready.commands).toEqual([]);
});

test('a Go that is too old is passed over, and named if there is no other', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-go-test-'));
  try {
    const go = async (name: string, version: string) => {
      const path = join(folder, name);
      await writeFile(path, `#!/bin/sh\necho go version ${version} linux/amd64\n`);
      await chmod(path, 0o755);
      return path;
    };
    const [old, recent] = [await go('old', 'go1.19.8'), await go('recent', 'go1.21.0')];
    expect(await findGo([old])).toEqual({ problem: `${old} is Go 1.19.8, which is too old` });
    expect(await findGo([join(folder, 'none'), old, recent])).toEqual({ path: recent });
    expect(await findGo([join(folder, 'none')])).toEqual({ problem: NO_GO });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
