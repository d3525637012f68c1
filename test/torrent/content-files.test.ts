import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findContent, refuseChanges } from '../../torrent/content-files.ts';
import { hashContent } from '../../torrent/hash-content.ts';
import { rejectionOf } from './failure.ts';
import { makeFolder } from './storage/content.ts';

let folder: string;
let remove: () => void;

beforeEach(() => {
  ({ folder, remove } = makeFolder());
  mkdirSync(join(folder, 'content'));
  writeFileSync(at('one'), 'one');
});

afterEach(() => remove());

const at = (...path: string[]) => join(folder, 'content', ...path);

const find = () => findContent(join(folder, 'content'));

describe('findContent', () => {
  test('follows symlinks to files and folders, also to the same one twice', async () => {
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real', 'file'), 'x');
    symlinkSync('../real', at('a'));
    symlinkSync('../real', at('b'));
    symlinkSync('one', at('two'));
    const { files } = await find();
    expect(files.map(({ path }) => path)).toEqual(['a/file', 'b/file', 'one', 'two']);
  });

  test.each<[string, () => void, string, string]>([
    ['a pipe', () => execFileSync('mkfifo', [at('pipe')]), 'UnsafePath', 'pipe is a pipe, neither a file'],
    ['a device', () => symlinkSync('/dev/null', at('null')), 'UnsafePath', 'null is a device'],
    [
      'a symlink to nowhere',
      () => symlinkSync('gone', at('link')),
      'DiskIo',
      'content/link is a symlink to gone, which does not exist',
    ],
    [
      'a symlink to itself',
      () => symlinkSync('link', at('link')),
      'UnsafePath',
      'content/link is a symlink that leads to itself',
    ],
    [
      'a symlink to a folder above',
      () => symlinkSync('..', at('up')),
      'UnsafePath',
      'up/content is a symlink to a folder that it lies in',
    ],
    [
      'a name that is not UTF-8',
      () => writeFileSync(Buffer.concat([Buffer.from(`${at('bad')}-`), Buffer.from([0xff, 0x27])]), ''),
      'UnsafePath',
      "the name $'bad-\\xff\\x27' is not UTF-8, as names in torrents are; rename it",
    ],
    ['a backslash', () => writeFileSync(at('a\\b'), ''), 'UnsafePath', 'has a backslash in it; rename it'],
  ])('names %s', async (_, make, code, message) => {
    make();
    const error = await rejectionOf(find());
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  });

  test('names a socket', async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(at('socket'), done));
    const { message } = await rejectionOf(find());
    await new Promise((done) => server.close(done));
    expect(message).toContain('socket is a socket, neither a file nor a folder');
  });

  test('can be given up', async () => {
    const signal = AbortSignal.abort();
    expect((await rejectionOf(findContent(folder, { signal }))).code).toBe('Closed');
  });
});

test.each<[string, () => void, string]>([
  ['that grew', () => appendFileSync(at('one'), 'more'), 'one was changed'],
  ['that was cut', () => truncateSync(at('one'), 1), 'one was changed'],
  ['that was written to', () => writeFileSync(at('one'), 'two', { flag: 'r+' }), 'one was changed'],
  [
    'that was written to with its time kept',
    () => {
      execFileSync('touch', ['-r', at('one'), join(folder, 'time')]);
      writeFileSync(at('one'), 'two', { flag: 'r+' });
      execFileSync('touch', ['-r', join(folder, 'time'), at('one')]);
    },
    'one was changed',
  ],
  [
    'that was replaced',
    () => {
      writeFileSync(at('new'), 'one');
      renameSync(at('new'), at('one'));
    },
    'one was changed',
  ],
  ['that was added', () => writeFileSync(at('new'), ''), 'new was added'],
  ['that was removed', () => unlinkSync(at('empty')), 'empty was removed'],
  [
    'that became a pipe',
    () => {
      unlinkSync(at('one'));
      execFileSync('mkfifo', [at('one')]);
    },
    'one is a pipe',
  ],
])('a file %s while content was read is named', async (_, change, message) => {
  writeFileSync(at('empty'), '');
  const content = await find();
  await hashContent(content.files, { pieceLength: 65_536 });
  await refuseChanges(join(folder, 'content'), content);
  change();
  const error = await rejectionOf(refuseChanges(join(folder, 'content'), content));
  expect([error.code, error.message]).toEqual(['FileChanged', expect.stringContaining(message)]);
});
