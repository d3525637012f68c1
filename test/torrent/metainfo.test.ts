import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Encodable, encodeBencode } from '../../torrent/bencode.ts';
import type { TorrentErrorCode } from '../../torrent/errors.ts';
import { TorrentError } from '../../torrent/errors.ts';
import { MAX_METAINFO_BYTES, type Metainfo, parseInfo, parseMetainfo } from '../../torrent/metainfo.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters, mutated } from './fuzz.ts';

type Dictionary = { [key: string]: Encodable | undefined };

const KIB = 1024;
const hashes = (count: number) => Buffer.alloc(20 * count, 7);

const singleFile: Dictionary = { name: 'a', 'piece length': 16 * KIB, length: 20 * KIB, pieces: hashes(2) };

function file(path: readonly (string | Uint8Array)[], length: number, more: Dictionary = {}): Dictionary {
  return { path, length, ...more };
}

/** An info dictionary of several files, with as many hashes as they need. */
function several(files: readonly Dictionary[], more: Dictionary = {}): Dictionary {
  const total = files.reduce((sum, { length }) => sum + (typeof length === 'number' ? length : 0), 0);
  const pieces = more.pieces ?? hashes(Math.ceil(total / (16 * KIB)));
  return { name: 'folder', 'piece length': 16 * KIB, files, ...more, pieces };
}

const parse = (info: Dictionary, outer: Dictionary = {}): Metainfo =>
  parseMetainfo(encodeBencode({ info, ...outer }));

function refusal(
  info: Dictionary,
  outer: Dictionary = {},
  code: TorrentErrorCode = 'InvalidMetainfo',
): string {
  const error = failureOf(() => parse(info, outer));
  expect(error.code).toBe(code);
  return error.message;
}

describe('parseMetainfo', () => {
  test('reads a torrent of a single file', () => {
    const info = { ...singleFile, private: 1, source: 'here' };
    const metainfo = parse(info, {
      announce: 'http://t/announce',
      comment: 'c',
      'created by': 'me',
      'creation date': 5,
    });
    expect(metainfo).toMatchObject({
      version: 1,
      name: 'a',
      pieceLength: 16 * KIB,
      pieceCount: 2,
      totalBytes: 20 * KIB,
      isPrivate: true,
      source: 'here',
      isSingleFile: true,
      announceList: [['http://t/announce']],
      webSeeds: [],
      comment: 'c',
      createdBy: 'me',
      creationDateSeconds: 5,
    });
    expect(metainfo.files).toMatchObject([
      { path: ['a'], lengthBytes: 20 * KIB, offsetBytes: 0, executable: false },
    ]);
    expect([metainfo.pieceLengthAt(0), metainfo.pieceLengthAt(1)]).toEqual([16 * KIB, 4 * KIB]);
    expect(failureOf(() => metainfo.pieceLengthAt(2)).code).toBe('InvalidRequest');
    expect(failureOf(() => metainfo.pieceLengthAt(-1)).code).toBe('InvalidRequest');
    expect(metainfo.infoHashHex).toBe(createHash('sha1').update(encodeBencode(info)).digest('hex'));
  });

  test('reads several files, with attributes, checksums and offsets', () => {
    const sha256 = Buffer.alloc(32, 1);
    const metainfo = parse(
      several([
        file(['x', 'run'], 10, { attr: 'x', sha256 }),
        file(['.pad', '6'], 6, { attr: 'p' }),
        file(['empty'], 0),
        file(['ünï', 'two words'], 17 * KIB, { attr: 'hq' }),
      ]),
    );
    expect(metainfo.files).toEqual([
      { path: ['x', 'run'], lengthBytes: 10, offsetBytes: 0, executable: true, padding: false, sha256 },
      {
        path: ['.pad', '6'],
        lengthBytes: 6,
        offsetBytes: 10,
        executable: false,
        padding: true,
        sha256: undefined,
      },
      {
        path: ['empty'],
        lengthBytes: 0,
        offsetBytes: 16,
        executable: false,
        padding: false,
        sha256: undefined,
      },
      {
        path: ['ünï', 'two words'],
        lengthBytes: 17 * KIB,
        offsetBytes: 16,
        executable: false,
        padding: false,
        sha256: undefined,
      },
    ]);
    expect(metainfo.isSingleFile).toBe(false);
  });

  test('takes the info hash over the exact bytes, with keys it does not know', () => {
    const info = { ...singleFile, zzz: [1, { a: 'b' }], 'x-made-by': 'somebody' };
    const metainfo = parse(info);
    expect(Buffer.from(metainfo.infoBytes)).toEqual(encodeBencode(info));
    expect(metainfo.infoHash).toEqual(createHash('sha1').update(encodeBencode(info)).digest());
    expect(parseInfo(metainfo.infoBytes).infoHash).toEqual(metainfo.infoHash);
  });

  test('reads a hybrid (BEP 52) by its version 1 part', () => {
    expect(parse({ ...singleFile, 'meta version': 2, 'file tree': {} }).version).toBe('hybrid');
  });

  test('reads a torrent of empty files only', () => {
    const metainfo = parse(several([file(['a'], 0), file(['b'], 0)]));
    expect([metainfo.pieceCount, metainfo.totalBytes]).toEqual([0, 0]);
  });

  test('prefers names in UTF-8 where the others are in a local encoding', () => {
    const latin = Buffer.from('é', 'latin1');
    const metainfo = parse(
      several([file([latin], 1, { 'path.utf-8': ['é'] })], { name: latin, 'name.utf-8': 'ü' }),
    );
    expect([metainfo.name, metainfo.files[0]?.path]).toEqual(['ü', ['é']]);
  });

  test('reads tiers of trackers and web seeds, and drops what is empty', () => {
    const outer = { announce: 'http://first/', 'announce-list': [['http://a/', ''], [], ['udp://b:1/']] };
    expect(parse(singleFile, outer).announceList).toEqual([['http://a/'], ['udp://b:1/']]);
    expect(parse(singleFile, { announce: 'http://first/', 'announce-list': [] }).announceList).toEqual([
      ['http://first/'],
    ]);
    expect(parse(singleFile, { announce: '' }).announceList).toEqual([]);
    expect(parse(singleFile, { 'url-list': '' }).webSeeds).toEqual([]);
    expect(parse(singleFile, { 'url-list': 'http://w/' }).webSeeds).toEqual(['http://w/']);
    expect(parse(singleFile, { 'url-list': ['http://w/', 'http://v/'] }).webSeeds).toEqual([
      'http://w/',
      'http://v/',
    ]);
  });
});

describe('parseMetainfo refuses', () => {
  test.each([
    ['0', 0],
    ['negative', -16384],
    ['not a power of two', 48 * KIB],
    ['too small', 8 * KIB],
    ['huge', 128 * KIB * KIB],
    ['of 2^40', 2 ** 40],
  ])('a piece length that is %s', (_, pieceLength) => {
    expect(refusal({ ...singleFile, 'piece length': pieceLength })).toContain('piece length');
  });

  test('a piece length that is text or missing', () => {
    expect(refusal({ ...singleFile, 'piece length': '16384' })).toContain('piece length');
    expect(refusal({ ...singleFile, 'piece length': undefined })).toContain('piece length');
  });

  test('pieces that are no multiple of 20 bytes', () => {
    expect(refusal({ ...singleFile, pieces: Buffer.alloc(39) })).toContain('multiple of 20');
  });

  test('fewer or more pieces than the length needs', () => {
    expect(refusal({ ...singleFile, pieces: hashes(1) })).toContain('2 pieces');
    expect(refusal({ ...singleFile, pieces: hashes(3) })).toContain('2 pieces');
    expect(refusal({ ...singleFile, pieces: undefined })).toContain('pieces is missing');
    expect(refusal({ ...singleFile, pieces: 5 })).toContain('pieces is missing');
  });

  test('a negative or missing length', () => {
    expect(refusal({ ...singleFile, length: -1 })).toContain('negative');
    expect(refusal({ ...singleFile, length: undefined })).toContain('length');
    expect(refusal(several([file(['a'], -5), file(['b'], 20)]))).toContain('negative');
    expect(refusal(several([{ path: ['a'] }]))).toContain('length of file 0');
  });

  test('lengths whose sum overflows', () => {
    const half = Number.MAX_SAFE_INTEGER - 1;
    expect(refusal(several([file(['a'], half), file(['b'], half)], { pieces: hashes(1) }))).toContain('sum');
  });

  test('no files, no dictionary of a file, both forms at once', () => {
    expect(refusal(several([]))).toContain('no files');
    expect(refusal({ ...several([]), files: 3 })).toContain('not a list');
    expect(refusal({ ...several([]), files: ['a'] })).toContain('not a dictionary');
    expect(refusal({ ...several([file(['a'], 5)]), length: 5 })).toContain('both');
    expect(refusal(several([file(['.pad', '5'], 5, { attr: 'p' })]))).toContain('no files but padding');
  });

  test.each<[string, (string | Uint8Array)[], string]>([
    ['with ..', ['a', '..', 'b'], 'is ".."'],
    ['with .', ['.', 'b'], 'is "."'],
    ['with an empty part', ['a', '', 'b'], 'is empty'],
    ['that is absolute', ['/etc', 'passwd'], 'slash'],
    ['with a slash in a part', ['a/b'], 'slash'],
    ['with a NUL', ['a\0b'], 'control character'],
    ['with a newline', ['a\nb'], 'control character'],
    ['with a backslash', ['a\\b'], 'backslash'],
    ['with a part over 255 bytes', ['é'.repeat(128)], '256 bytes'],
    ['that is too long as a whole', Array.from({ length: 20 }, () => 'x'.repeat(200)), 'more than 3072'],
    ['in invalid UTF-8', [Buffer.from([0x61, 0xff])], 'not valid UTF-8'],
    ['in overlong UTF-8', [Buffer.from([0xc0, 0xae, 0xc0, 0xae])], 'not valid UTF-8'],
    ['with a surrogate in UTF-8', [Buffer.from([0xed, 0xa0, 0x80])], 'not valid UTF-8'],
    ['without parts', [], 'no path'],
  ])('a path %s', (_, path, message) => {
    expect(refusal(several([file(['ok'], 1), file(path, 1)]))).toContain(message);
  });

  test('a path that is no list of strings', () => {
    expect(refusal(several([{ length: 1, path: 'a' }]))).toContain('no path');
    expect(refusal(several([{ length: 1, path: [1] }]))).toContain('not a string');
    expect(refusal(several([{ length: 1 }]))).toContain('no path');
  });

  test.each([
    ['..', 'is ".."'],
    ['', 'is empty'],
    ['a/b', 'slash'],
    ['a\\b', 'backslash'],
    ['x'.repeat(256), '256 bytes'],
  ])('the name %p', (name, message) => {
    expect(refusal({ ...singleFile, name })).toContain(message);
    expect(refusal(several([file(['a'], 1)], { name }))).toContain(message);
  });

  test('a name that is missing or in invalid UTF-8', () => {
    expect(refusal({ ...singleFile, name: undefined })).toContain('name');
    expect(refusal({ ...singleFile, name: Buffer.from([0xff]) })).toContain('UTF-8');
  });

  test.each<[string, string[], string[]]>([
    ['exactly', ['a', 'b'], ['a', 'b']],
    ['after folding case', ['dir', 'Readme'], ['DIR', 'readme']],
    ['after folding ß', ['straße'], ['STRASSE']],
    ['after Unicode composition', ['caf\u00e9'], ['cafe\u0301']],
    ['after both', ['CAF\u00c9'], ['cafe\u0301']],
  ])('the same path twice, %s', (_, one, other) => {
    expect(refusal(several([file(one, 1), file(other, 1)]))).toContain('there twice');
  });

  test('a file where another path needs a folder, in either order, also after folding', () => {
    expect(refusal(several([file(['a'], 1), file(['A', 'b'], 1)]))).toContain('folder');
    expect(refusal(several([file(['a', 'b', 'c'], 1), file(['a', 'B'], 1)]))).toContain('folder');
  });

  test('symlinks (BEP 47), of several files or one', () => {
    const link = { attr: 'l', 'symlink path': ['..', 'etc'] };
    expect(refusal(several([file(['a'], 1), file(['b'], 0, link)]), {}, 'UnsupportedMetainfo')).toContain(
      'symlink',
    );
    expect(refusal({ ...singleFile, attr: 'xl' }, {}, 'UnsupportedMetainfo')).toContain('symlink');
  });

  test('attributes and checksums of the wrong type or length', () => {
    expect(refusal(several([file(['a'], 1, { attr: 1 })]))).toContain('attribute');
    expect(refusal(several([file(['a'], 1, { sha256: Buffer.alloc(31) })]))).toContain('32 bytes');
    expect(refusal(several([file(['a'], 1, { sha256: 'x'.repeat(64) })]))).toContain('32 bytes');
  });

  test('version 2 alone and unknown versions (BEP 52)', () => {
    expect(
      refusal({ ...singleFile, pieces: undefined, 'meta version': 2 }, {}, 'UnsupportedMetainfo'),
    ).toContain('version 2');
    expect(refusal({ ...singleFile, 'meta version': 3 }, {}, 'UnsupportedMetainfo')).toContain('unknown');
  });

  test('what stands around the info dictionary in the wrong form', () => {
    expect(refusal(singleFile, { announce: 5 })).toContain('announce');
    expect(refusal(singleFile, { 'announce-list': 'http://a/' })).toContain('announce-list');
    expect(refusal(singleFile, { 'announce-list': ['http://a/'] })).toContain('announce-list');
    expect(refusal(singleFile, { 'url-list': 7 })).toContain('url-list');
  });

  test('no info dictionary, no dictionary, no bencode', () => {
    expect(failureOf(() => parseMetainfo(encodeBencode({ announce: 'x' }))).message).toContain('no info');
    expect(failureOf(() => parseMetainfo(encodeBencode({ info: 'x' }))).message).toContain(
      'info is not a dictionary',
    );
    expect(failureOf(() => parseMetainfo(encodeBencode([1]))).message).toContain('not a dictionary');
    expect(failureOf(() => parseMetainfo(Buffer.from('<html>'))).code).toBe('InvalidBencode');
    const trailing = Buffer.concat([encodeBencode({ info: singleFile }), Buffer.from('\n')]);
    expect(failureOf(() => parseMetainfo(trailing)).code).toBe('InvalidBencode');
    expect(
      failureOf(() => parseInfo(Buffer.concat([encodeBencode(singleFile), Buffer.from('x')]))).code,
    ).toBe('InvalidBencode');
  });

  test('more than 8 MiB, unread', () => {
    expect(failureOf(() => parseMetainfo(Buffer.alloc(MAX_METAINFO_BYTES + 1))).code).toBe('TooLarge');
    expect(failureOf(() => parseInfo(Buffer.alloc(MAX_METAINFO_BYTES + 1))).code).toBe('TooLarge');
  });
});

test('padding files may share a name, which is how creators make them', () => {
  const padding = { attr: 'p' };
  const files = [
    file(['a'], 10),
    file(['.pad', '6'], 6, padding),
    file(['b'], 10),
    file(['.pad', '6'], 6, padding),
  ];
  expect(parse(several(files)).files).toHaveLength(4);
  expect(refusal(several([file(['a'], 1), file(['..', 'x'], 1, padding)]))).toContain('..');
});

test('near-valid metainfo is refused, or keeps every invariant', () => {
  const valid = fc.constantFrom(
    encodeBencode({ info: singleFile, announce: 'http://a/' }),
    encodeBencode({
      info: several([file(['a', 'b'], 5, { attr: 'x' }), file(['c'], 16 * KIB)]),
      'url-list': 'http://w',
    }),
  );
  fc.assert(
    fc.property(mutated(valid), (bytes) => {
      let metainfo: Metainfo;
      try {
        metainfo = parseMetainfo(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(TorrentError);
        return;
      }
      const { files, pieceCount, pieceHashes, pieceLength, totalBytes } = metainfo;
      expect(pieceHashes.length).toBe(20 * pieceCount);
      expect(pieceCount).toBe(Math.ceil(totalBytes / pieceLength));
      expect(files.reduce((sum, entry) => sum + entry.lengthBytes, 0)).toBe(totalBytes);
      for (const { path } of files) {
        expect(path.length).toBeGreaterThan(0);
        for (const part of path) expect(['', '.', '..'].includes(part) || part.includes('/')).toBe(false);
      }
    }),
    fuzzParameters(3000),
  );
});
