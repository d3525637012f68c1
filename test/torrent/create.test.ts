import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  automaticPieceLength,
  buildInfoDictionary,
  encodeMetainfo,
  type FileToDescribe,
  PieceHasher,
} from '../../torrent/create.ts';
import { parseInfo, parseMetainfo } from '../../torrent/metainfo.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters } from './fuzz.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest();

describe('automaticPieceLength', () => {
  test.each([
    [0, 64 * KIB],
    [1, 64 * KIB],
    [256 * MIB, 64 * KIB],
    [256 * MIB + 1, 128 * KIB],
    [16 * GIB, 4 * MIB],
    [256 * GIB, 64 * MIB],
    [1024 * GIB, 64 * MIB],
    [6500 * GIB, 64 * MIB],
  ])('of %d bytes is %d', (totalBytes, pieceLength) => {
    expect(automaticPieceLength(totalBytes)).toBe(pieceLength);
  });

  test('is refused where the hashes would take more than 2 MiB', () => {
    expect(failureOf(() => automaticPieceLength(6600 * GIB)).code).toBe('TooLarge');
  });
});

describe('PieceHasher', () => {
  test('gives the same hashes however the bytes are cut', () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 });
    fc.assert(
      fc.property(chunks, fc.constantFrom(16, 32, 64), (list, pieceLength) => {
        const hasher = new PieceHasher(pieceLength);
        for (const chunk of list) hasher.update(chunk);
        const all = Buffer.concat(list);
        const expected: Buffer[] = [];
        for (let at = 0; at < all.length; at += pieceLength)
          expected.push(sha1(all.subarray(at, at + pieceLength)));
        expect(hasher.totalBytes).toBe(all.length);
        expect(hasher.finish()).toEqual(Buffer.concat(expected));
      }),
      fuzzParameters(300),
    );
  });
});

const files: FileToDescribe[] = [
  { path: 'bin/run', lengthBytes: 70_000, executable: true, sha256: Buffer.alloc(32, 3) },
  { path: 'data/ü file', lengthBytes: 10, executable: false },
];
const pieces = Buffer.alloc(40, 9);
const common = { name: 'content', private: true, source: 'enxame:1', pieceLength: 64 * KIB, pieces };

describe('buildInfoDictionary', () => {
  test('makes the bytes that the format demands', () => {
    const info = buildInfoDictionary({ ...common, files });
    const expected = Buffer.concat([
      Buffer.from('d5:filesld4:attr1:x6:lengthi70000e4:pathl3:bin3:rune6:sha25632:'),
      Buffer.alloc(32, 3),
      Buffer.from('ed6:lengthi10e4:pathl4:data7:ü fileee'),
      Buffer.from('e4:name7:content12:piece lengthi65536e6:pieces40:'),
      pieces,
      Buffer.from('7:privatei1e6:source8:enxame:1e'),
    ]);
    expect(info.toString('latin1')).toBe(expected.toString('latin1'));
  });

  test('gives different swarms for different sources, the same for the same', () => {
    const hash = (source: string) => parseInfo(buildInfoDictionary({ ...common, source, files })).infoHashHex;
    expect(hash('enxame:1')).toBe(hash('enxame:1'));
    expect(hash('enxame:1')).not.toBe(hash('enxame:2'));
  });

  test('makes the form of a single file', () => {
    const one = [{ path: 'f', lengthBytes: 70_000, executable: true }];
    const metainfo = parseInfo(
      buildInfoDictionary({
        name: 'f',
        private: false,
        files: one,
        pieceLength: 65536,
        pieces,
        singleFile: true,
      }),
    );
    expect(metainfo).toMatchObject({ isSingleFile: true, isPrivate: false, name: 'f', totalBytes: 70_000 });
    expect(metainfo.files[0]?.executable).toBe(true);
    expect(failureOf(() => buildInfoDictionary({ ...common, files, singleFile: true })).code).toBe(
      'InvalidMetainfo',
    );
  });

  test.each<[string, FileToDescribe[]]>([
    ['a path that leaves the root', [{ path: '../x', lengthBytes: 70_000, executable: false }]],
    ['an absolute path', [{ path: '/x', lengthBytes: 70_000, executable: false }]],
    [
      'two paths that meet',
      [files[0] as FileToDescribe, { path: 'bin/run', lengthBytes: 10, executable: false }],
    ],
    ['lengths that do not fit the hashes', [{ path: 'x', lengthBytes: 1, executable: false }]],
  ])('refuses %s', (_, list) => {
    expect(failureOf(() => buildInfoDictionary({ ...common, files: list })).code).toBe('InvalidMetainfo');
  });
});

describe('encodeMetainfo', () => {
  const info = buildInfoDictionary({ ...common, files });

  test('keeps the info bytes and says the rest', () => {
    const metainfo = parseMetainfo(
      encodeMetainfo({
        info,
        announceList: [['http://a/announce', 'http://b/announce'], ['http://c/announce']],
        webSeeds: ['http://w/'],
        comment: 'hello',
        createdBy: 'enxame',
        creationDateSeconds: 12,
      }),
    );
    expect(Buffer.from(metainfo.infoBytes)).toEqual(info);
    expect(metainfo).toMatchObject({
      announceList: [['http://a/announce', 'http://b/announce'], ['http://c/announce']],
      webSeeds: ['http://w/'],
      comment: 'hello',
      createdBy: 'enxame',
      creationDateSeconds: 12,
    });
  });

  test('needs no tracker', () => {
    expect(encodeMetainfo({ info }).toString('latin1')).toBe(`d4:info${info.toString('latin1')}e`);
    expect(parseMetainfo(encodeMetainfo({ info, announce: 'http://a/' })).announceList).toEqual([
      ['http://a/'],
    ]);
  });

  test('refuses an info dictionary that cannot be read', () => {
    expect(failureOf(() => encodeMetainfo({ info: Buffer.from('d1:ai1ee') })).code).toBe('InvalidMetainfo');
  });
});

test('what is created parses to what it was created from', () => {
  const part = fc
    .string({ unit: fc.constantFrom('a', 'b', 'é', '漢', '😀', ' ', '.', '-'), minLength: 1, maxLength: 6 })
    .filter((name) => name !== '.' && name !== '..');
  const list = fc.uniqueArray(
    fc.record({
      folder: fc.option(part, { nil: undefined }),
      name: part,
      lengthBytes: fc.integer({ min: 0, max: 200_000 }),
      executable: fc.boolean(),
      sha256: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 8, selector: ({ name }) => name },
  );
  fc.assert(
    fc.property(
      list,
      fc.constantFrom(16 * KIB, 64 * KIB, MIB),
      fc.boolean(),
      (entries, pieceLength, isPrivate) => {
        // Every name once, so that no file meets another or its folder: that is tested elsewhere.
        const described = entries.map(({ folder, name, ...rest }, i) => ({
          path: folder === undefined ? `${name}f${i}` : `${folder}d${i}/${name}`,
          ...rest,
        }));
        const content = described.map(({ lengthBytes }, i) => Buffer.alloc(lengthBytes, i + 1));
        const hasher = new PieceHasher(pieceLength);
        for (const bytes of content) hasher.update(bytes);
        const info = buildInfoDictionary({
          name: 'n',
          private: isPrivate,
          files: described,
          pieceLength,
          pieces: hasher.finish(),
        });
        const metainfo = parseMetainfo(encodeMetainfo({ info }));
        const all = Buffer.concat(content);
        expect(metainfo.isPrivate).toBe(isPrivate);
        expect(metainfo.totalBytes).toBe(all.length);
        expect(
          metainfo.files.map(({ path, lengthBytes, executable, sha256 }) => ({
            path: path.join('/'),
            lengthBytes,
            executable,
            sha256: sha256 && Uint8Array.from(sha256),
          })),
        ).toEqual(described);
        for (let piece = 0; piece < metainfo.pieceCount; piece++) {
          const start = piece * pieceLength;
          expect(metainfo.pieceHash(piece)).toEqual(
            sha1(all.subarray(start, start + metainfo.pieceLengthAt(piece))),
          );
        }
      },
    ),
    fuzzParameters(100),
  );
});
