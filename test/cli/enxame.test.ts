import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { torrentFile } from '../tracker/torrent-bytes.ts';
import { enxame } from './enxame-process.ts';

const LISTEN = ['--listen', '127.0.0.1:0'];

describe('enxame', () => {
  test.each(['--version', '-V'])('%s tells the version of package.json', async (option) => {
    const { version } = JSON.parse(
      await readFile(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
    );
    expect(await enxame([option]).ended).toEqual({ code: 0, stdout: `enxame ${version}\n`, stderr: '' });
  });

  test.each([
    [['help'], ['--help']],
    [
      ['help', 'tracker'],
      ['tracker', '--help'],
    ],
  ])('%j is %j', async (words, option) => {
    const { code, stdout } = await enxame(words).ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: (await enxame(option).ended).stdout });
  });

  test('--help lists the subcommands, on stdout', async () => {
    const { code, stdout } = await enxame(['--help']).ended;
    expect(code).toBe(0);
    for (const name of [
      'create',
      'inspect',
      'download',
      'seed',
      'tracker',
      'operator',
      'agent',
      'publish',
      'wait',
    ])
      expect(stdout).toContain(`\n  ${name} `);
  });

  test('alone it says how it is used, on stderr, and fails', async () => {
    const { code, stdout, stderr } = await enxame([]).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: enxame');
  });

  test.each<[string[], string]>([
    [['help', 'nonsense'], "enxame: unknown command 'nonsense'; see 'enxame --help'"],
    [['nonsense'], "enxame: unknown command 'nonsense'; see 'enxame --help'"],
    [['downlod', 'x'], "enxame: unknown command 'downlod'; did you mean 'download'? see 'enxame --help'"],
    [['tracker', '--nonsense'], "enxame: unknown option '--nonsense'; see 'enxame tracker --help'"],
    [
      ['seed', '--trakcer', 'x'],
      "unknown option '--trakcer'; did you mean '--tracker'? see 'enxame seed --help'",
    ],
    [['download'], "missing required argument 'torrent'; see 'enxame download --help'"],
    [['--opne'], "unknown option '--opne'; see 'enxame --help'"],
    [['tracker', 'nonsense', '--open'], 'too many arguments'],
    [['tracker', '--listen'], 'argument missing'],
    [['wait'], "missing required argument 'namespace/name'"],
    [['wait', 'a/b', '--timeout', '-1'], 'it must be a positive number of seconds'],
    [['tracker'], 'enxame tracker: nothing to serve; use --torrents DIR'],
    [['tracker', '--open', '--listen', 'x'], "enxame tracker: --listen is 'x'; it must be HOST:PORT"],
    [['tracker', '--open', '--zone-share', '0.8'], 'at least a third of the peers must be of other zones'],
    [['tracker', '--open', '--metrics', 'x'], "enxame tracker: --metrics is 'x'; it must be HOST:PORT"],
    [['tracker', '--torrents', '/does/not/exist'], "--torrents is '/does/not/exist', which is no folder"],
  ])('%j is bad usage, told in one line', async (args, message) => {
    const { code, stdout, stderr } = await enxame(args).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  test('an unknown log level is bad usage', async () => {
    const { code, stderr } = await enxame(['tracker', '--open', ...LISTEN], { ENXAME_LOG_LEVEL: 'loud' })
      .ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/^enxame tracker: ENXAME_LOG_LEVEL is 'loud'; it must be one of [^\n]+\n$/);
  });
});

describe('enxame tracker', () => {
  test('serves a folder, logs JSON lines, and ends with 0 when it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'enxame-cli-'));
    const one = torrentFile('one');
    await writeFile(join(folder, 'one.torrent'), one.bytes);
    const { child, nextLine, ended } = enxame(['tracker', '--torrents', folder, ...LISTEN]);
    try {
      const { level, program, msg, port } = JSON.parse((await nextLine()) ?? '');
      expect({ level, program, msg }).toEqual({ level: 'info', program: 'tracker', msg: 'listening' });
      const served = await fetch(`http://127.0.0.1:${port}/torrents/${one.infoHashHex}.torrent`);
      expect(Buffer.from(await served.bytes())).toEqual(one.bytes);
      const other = await fetch(`http://127.0.0.1:${port}/torrents/${'aa'.repeat(20)}.torrent`);
      expect(other.status).toBe(404);
    } finally {
      child.kill('SIGTERM');
    }
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([0, '']);
    await rm(folder, { recursive: true });
  });

  test('--json prints events on stdout and nothing else', async () => {
    const { child, nextLine, ended } = enxame(['tracker', '--open', '--json', ...LISTEN]);
    const { event, port } = JSON.parse((await nextLine()) ?? '');
    expect(event).toBe('listening');
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event),
    ).toEqual(['listening', 'stopped']);
    expect(stderr).toContain('"msg":"listening"');
  });

  test('a port that is taken is a failure that says what to do', async () => {
    const first = enxame(['tracker', '--open', '--json', ...LISTEN]);
    const { port } = JSON.parse((await first.nextLine()) ?? '');
    const { code, stderr } = await enxame(['tracker', '--open', '--listen', `127.0.0.1:${port}`]).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^enxame tracker: cannot listen on [^\n]*EADDRINUSE[^\n]*--listen HOST:PORT\n$/);
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(0);
  });
});

describe('enxame wait', () => {
  test('waits until the content is there, and ends with 0', async () => {
    const root = await mkdtemp(join(tmpdir(), 'enxame-cli-'));
    const run = enxame(['wait', 'ns/name'], { ENXAME_CONTENT_ROOT: root });
    const [line] = await once(run.child.stderr!, 'data');
    expect(String(line)).toContain('waiting for the content');
    const uid = '0b5f5b0c-5d5e-4c8e-9d53-5d1e0c6a7f10';
    await mkdir(join(root, 'content', uid, '0123456789ab'), { recursive: true });
    await symlink('0123456789ab', join(root, 'content', uid, 'current'));
    await mkdir(join(root, 'by-name', 'ns'), { recursive: true });
    await symlink(`../../content/${uid}`, join(root, 'by-name', 'ns', 'name'));
    try {
      expect((await run.ended).code).toBe(0);
    } finally {
      run.child.kill();
      await rm(root, { recursive: true });
    }
  });

  test('gives up after its time, and fails', async () => {
    const root = await mkdtemp(join(tmpdir(), 'enxame-cli-'));
    const { code } = await enxame(['wait', 'ns/name', '--timeout', '1'], { ENXAME_CONTENT_ROOT: root }).ended;
    expect(code).toBe(1);
    await rm(root, { recursive: true });
  });
});
