import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Encodable, encodeBencode } from '../../torrent/bencode.ts';
import { TorrentError, type TorrentErrorCode } from '../../torrent/errors.ts';
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

/** Bencode as it stands there, where the encoder would not write it. */
const raw = (text: string) => Buffer.from(text, 'latin1');
const SINGLE = `6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:${'h'.repeat(20)}`;

describe('parseMetainfo reads as found', () => {
  test('keys in any order, with the info hash over the bytes as they are', () => {
    const info = `d6:pieces20:${'h'.repeat(20)}4:name1:a12:piece lengthi16384e6:lengthi5ee`;
    const metainfo = parseMetainfo(raw(`d4:info${info}8:announce9:http://t/e`));
    expect(metainfo.infoHashHex).toBe(createHash('sha1').update(raw(info)).digest('hex'));
    expect([metainfo.announceList, metainfo.ignored]).toEqual([[['http://t/']], []]);
    expect(parseInfo(raw(info)).infoHashHex).toBe(metainfo.infoHashHex);
  });

  test.each(['\n', '\r\n', '\0', 'rubbish', 'de'])('bytes behind the value: %j', (behind) => {
    expect(parseMetainfo(raw(`d4:infod${SINGLE}ee${behind}`)).name).toBe('a');
  });

  test.each([
    ['a leading zero', 'i03e'],
    ['minus zero', 'i-0e'],
    ['2^64', 'i18446744073709551616e'],
  ])('an integer with %s in a key that nobody reads', (_, integer) => {
    const metainfo = parseMetainfo(raw(`d3:agel${integer}e4:infod${SINGLE}3:zzz${integer}ee`));
    expect([metainfo.name, metainfo.ignored]).toEqual(['a', []]);
  });

  test('names that differ in case, accents or composition only, and keys called __proto__', () => {
    const paths = ['Readme', 'README', 'straße', 'strasse', 'caf\u00e9', 'cafe\u0301', '__proto__'];
    const metainfo = parse(several(paths.map((path) => file([path], 1))));
    expect(metainfo.files.map(({ path }) => path)).toEqual(paths.map((path) => [path]));
    expect(parseMetainfo(raw(`d9:__proto__d4:name1:xe4:infod9:__proto__i1e${SINGLE}ee`)).name).toBe('a');
  });

  test.each([1, 3, 1000, 8 * KIB, 48 * KIB, 10_000_019, 100 * KIB * KIB, 256 * KIB * KIB])(
    'a piece length of %d',
    (pieceLength) => {
      const info = { name: 'a', 'piece length': pieceLength, length: 2 * pieceLength + 1, pieces: hashes(3) };
      const { pieceCount, pieceLengthAt } = parse(info);
      expect([pieceCount, pieceLengthAt(0), pieceLengthAt(2)]).toEqual([3, pieceLength, 1]);
    },
  );
});

describe('parseMetainfo leaves out, and says so once,', () => {
  const urls = { announce: 'http://first/', 'url-list': 'http://w/' };

  test.each<[string, Dictionary, Partial<Metainfo>, string]>([
    ['an announce that is a number', { announce: 5 }, { announceList: [] }, 'announce is not a string'],
    ['an announce-list that is text', { 'announce-list': 'http://a/' }, {}, 'announce-list is not a list'],
    ['a flat announce-list', { 'announce-list': ['http://a/'] }, {}, 'announce-list has entries'],
    [
      'part of an announce-list of several types',
      { 'announce-list': [['http://a/', 7, ''], 'http://b/', [], 3, [['x']], ['http://c/']] },
      { announceList: [['http://a/'], ['http://c/']] },
      'announce-list has entries',
    ],
    [
      'an announce-list without end',
      { 'announce-list': [Array(10_001).fill('x')] },
      {},
      'announce-list has more',
    ],
    ['a url-list that is a number', { 'url-list': 7 }, { webSeeds: [] }, 'url-list is not'],
    ['a url-list that is a dictionary', { 'url-list': { a: 'x' } }, { webSeeds: [] }, 'url-list is not'],
    [
      'part of a url-list of several types',
      { 'url-list': ['http://v/', 1, ['http://x/']] },
      { webSeeds: ['http://v/'] },
      'url-list is not',
    ],
    ['a comment that is a list', { comment: ['x'] }, { comment: undefined }, 'comment is not a string'],
    ['a creator that is a number', { 'created by': 1 }, { createdBy: undefined }, 'created by is not'],
    [
      'a date that is text',
      { 'creation date': '5' },
      { creationDateSeconds: undefined },
      'creation date is not',
    ],
    [
      'an encoding that nobody knows',
      { encoding: 'klingon' },
      {},
      'encoding is none that is known: "klingon"',
    ],
    ['an encoding that is a number', { encoding: 8 }, {}, 'encoding is not a string'],
  ])('%s', (_, outer, expected, message) => {
    const metainfo = parse(singleFile, { ...urls, ...outer });
    expect(metainfo).toMatchObject({
      announceList: [['http://first/']],
      webSeeds: ['http://w/'],
      ...expected,
    });
    expect(metainfo.ignored).toEqual([expect.stringContaining(message)]);
  });

  test('odd integers that would be of use', () => {
    const metainfo = parseMetainfo(raw(`d13:creation datei03e4:infod${SINGLE}ee`));
    expect([metainfo.creationDateSeconds, metainfo.ignored]).toEqual([
      undefined,
      ['creation date is an integer that cannot be read'],
    ]);
  });

  test('an empty announce-list, of which there is nothing to say', () => {
    for (const list of [[], [[]], [[''], []]]) {
      const metainfo = parse(singleFile, { ...urls, 'announce-list': list });
      expect([metainfo.announceList, metainfo.ignored]).toEqual([[['http://first/']], []]);
    }
  });

  test.each<[string, Encodable, boolean, number]>([
    ['0', 0, false, 0],
    ['1', 1, true, 0],
    ['2', 2, true, 1],
    ['-1', -1, true, 1],
    ['text', '1', true, 1],
    ['a list', [0], true, 1],
  ])('a private that is neither 0 nor 1, which then counts as private: %s', (_, value, isPrivate, said) => {
    const metainfo = parse({ ...singleFile, private: value });
    expect([metainfo.isPrivate, metainfo.ignored.length]).toEqual([isPrivate, said]);
  });

  test('an odd integer as private', () => {
    expect(parseMetainfo(raw(`d4:infod${SINGLE}7:privatei00eee`)).isPrivate).toBe(true);
  });

  test('attributes, checksums and sources of the wrong type or length', () => {
    const files = [
      file(['a'], 1, { attr: 1 }),
      file(['b'], 1, { sha256: Buffer.alloc(31) }),
      file(['c'], 1, { sha256: 'x'.repeat(64) }),
    ];
    const metainfo = parse(several(files, { source: 7 }));
    expect(metainfo.files.every(({ sha256, padding }) => sha256 === undefined && !padding)).toBe(true);
    expect(metainfo.ignored).toEqual([
      'attr of file 0 is not a string',
      'sha256 of file 1 is not 32 bytes (and 1 more like it)',
      'source is not a string',
    ]);
  });

  test('any number of faults in a few short lines', () => {
    const files = Array.from({ length: 500 }, (_, index) =>
      file([`${index}`], 1, { attr: 1, sha256: 1, 'path.utf-8': 1 }),
    );
    const odd = {
      announce: 1,
      'announce-list': 1,
      comment: 1,
      'created by': 1,
      'creation date': '',
      encoding: 1,
    };
    const info = several(files, { source: 1, private: 'x', 'name.utf-8': 5, 'meta version': '2' });
    const { ignored } = parse(info, { ...odd, 'url-list': 1 });
    expect(ignored.length).toBeLessThanOrEqual(11);
    expect(ignored.at(-1)).toMatch(/^[0-9]+ more$/);
    expect(ignored.join('; ').length).toBeLessThan(800);
  });
});

describe('names that are not UTF-8', () => {
  const gbk = Buffer.from([0xd6, 0xd0, 0xce, 0xc4]);

  test('are read by the encoding that the torrent names', () => {
    const info = several([file([gbk, 'plain'], 1), file(['文'], 1)], { name: gbk });
    const metainfo = parse(info, { encoding: 'GBK' });
    expect(metainfo.name).toBe('中文');
    expect(metainfo.files.map(({ path }) => path)).toEqual([['中文', 'plain'], ['文']]);
  });

  test('are refused with their bytes and the file they are of', () => {
    const info = several([file(['a'], 1), file(['dir', Buffer.from('caf\xe9"\n.txt', 'latin1')], 1)]);
    expect(refusal(info)).toContain(
      'a part of the path of file 1 is not valid UTF-8, and the torrent names no encoding of it: "caf\\xe9\\x22\\x0a.txt"',
    );
    expect(refusal(several([file([Buffer.from([0xff])], 1)]), { encoding: 'GBK' })).toContain(
      'file 0 is valid neither in UTF-8 nor in gbk: "\\xff"',
    );
    expect(refusal({ ...singleFile, name: gbk })).toContain('the name is not valid UTF-8');
    expect(refusal({ ...singleFile, name: Buffer.alloc(1000, 0xff) }).length).toBeLessThan(500);
  });

  test('are read by their twin in UTF-8, unless it is malformed', () => {
    const entry = file([gbk], 1, { 'path.utf-8': ['中', '文'] });
    expect(parse(several([entry]), { encoding: 'shift_jis' }).files[0]?.path).toEqual(['中', '文']);
    const odd = parse(several([file(['a'], 1, { 'path.utf-8': [gbk] })], { 'name.utf-8': gbk }));
    expect([odd.name, odd.files[0]?.path, odd.ignored.length]).toEqual(['folder', ['a'], 2]);
  });

  test('are as unsafe as others', () => {
    expect(refusal(several([file([Buffer.from('..'), gbk], 1)]), { encoding: 'GBK' })).toContain('is ".."');
    expect(refusal(several([file(['a'], 1, { 'path.utf-8': ['..', 'x'] })]))).toContain('is ".."');
  });
});

describe('padding', () => {
  const NAME = '_____padding_file_0_if you see this file, please update to BitComet 0.85 or above____';

  test.each<[string, readonly string[], number, boolean]>([
    ["BitComet's", [NAME], 16 * KIB - 10, true],
    ["BitComet's in a folder", ['x', NAME], 5, true],
    ['.pad with its length', ['.pad', '6'], 6, true],
    ['.pad up to the end of a piece', ['.pad', '0'], 16 * KIB - 10, true],
    ['.pad that does not fit', ['.pad', '7'], 6, false],
    ['.pad that is longer than a piece', ['.pad', '0'], 32 * KIB - 10, false],
    ['.pad of another name', ['.pad', 'x'], 16 * KIB - 10, false],
    ['.pad further in', ['a', '.pad', '6'], 6, false],
    ['a name like it', ['_padding_file_0'], 16 * KIB - 10, false],
  ])('is known without its attribute: %s', (_, path, length, expected) => {
    const metainfo = parse(several([file(['0'], 10), file(path, length), file(['z'], 1)]));
    expect(metainfo.files.map(({ padding }) => padding)).toEqual([false, expected, false]);
    expect(metainfo.files[2]?.offsetBytes).toBe(10 + length);
  });

  test('is no name of a single file', () => {
    expect(parse({ ...singleFile, name: NAME }).files[0]?.padding).toBe(false);
  });
});

describe('a hybrid (BEP 52)', () => {
  const root = Buffer.alloc(32, 3);
  const leaf = (length: Encodable, more: Dictionary = { 'pieces root': root }) => ({
    '': { length, ...more },
  });
  const files = [
    file(['10'], 5),
    file(['.pad', '1'], 16 * KIB - 5, { attr: 'p' }),
    file(['9', 'x'], 16 * KIB),
    file(['ü'], 0),
  ];
  const hybrid = (tree: Encodable, more: Dictionary = {}) =>
    several(files, { 'meta version': 2, 'file tree': tree, ...more });
  const TREE = { '10': leaf(5), '9': { x: leaf(16 * KIB) } };

  /** The file tree as bytes: names in UTF-8, in the given order. */
  function parseRaw(tree: string, more = ''): Metainfo {
    const info = encodeBencode(several(files, { 'meta version': 2 })).toString('latin1');
    return parseMetainfo(raw(`d4:info${info.slice(0, -1)}9:file tree${tree}${more}ee`));
  }
  const rawLeaf = (length: number) =>
    `d0:d6:lengthi${length}e${length === 0 ? '' : `11:pieces root32:${'r'.repeat(32)}`}ee`;
  const GOOD = `d2:10${rawLeaf(5)}1:9d1:x${rawLeaf(16 * KIB)}e2:\xc3\xbc${rawLeaf(0)}e`;

  test('is read where both parts say the same', () => {
    expect(parseRaw(GOOD).version).toBe('hybrid');
    const one = { ...singleFile, 'meta version': 2, 'file tree': { a: leaf(20 * KIB) } };
    expect(parse(one).version).toBe('hybrid');
  });

  test.each<[string, Encodable | undefined, Dictionary, string]>([
    ['a file too few', TREE, {}, '"ü" is not in the file tree'],
    [
      'another path',
      { '10': leaf(5), '9': { y: leaf(16 * KIB) } },
      {},
      '"9/y" is in the file tree where "9/x"',
    ],
    [
      'a folder more',
      { '10': leaf(5), '9': { x: { x: leaf(16 * KIB) } } },
      {},
      '"9/x/x" is in the file tree',
    ],
    ['another length', { '10': leaf(6), '9': { x: leaf(16 * KIB) } }, {}, 'another length than 5'],
    ['a length that is text', { '10': leaf('5'), '9': { x: leaf(16 * KIB) } }, {}, 'another length'],
    ['no pieces root', { '10': leaf(5, {}), '9': { x: leaf(16 * KIB) } }, {}, 'no pieces root'],
    ['a short pieces root', { '10': leaf(5, { 'pieces root': 'r' }) }, {}, 'no pieces root'],
    ['no file tree', undefined, {}, 'there is no file tree'],
    ['a file tree that is a list', [], {}, 'the file tree is no dictionary'],
    ['a name that is text', { '10': 'x' }, {}, '"10" in the file tree is no dictionary'],
    ['an entry that is text', { '10': { '': 'x' } }, {}, 'another length'],
    ['a file at the root', leaf(5), {}, '"" is in the file tree where'],
    ['a piece length that version 2 does not have', TREE, { 'piece length': 20 * KIB }, 'a power of two'],
  ])('is refused with %s', (_, tree, more, message) => {
    const said = refusal(hybrid(tree as Encodable, more));
    expect(said).toContain('this hybrid (BEP 52) disagree');
    expect(said).toContain(message);
  });

  test('is refused with files in another order, or more of them', () => {
    const order = `d1:9d1:x${rawLeaf(16 * KIB)}e2:10${rawLeaf(5)}2:\xc3\xbc${rawLeaf(0)}e`;
    expect(failureOf(() => parseRaw(order)).message).toContain('"9/x" is in the file tree where "10"');
    const more = `${GOOD.slice(0, -1)}3:zzz${rawLeaf(1)}e`;
    expect(failureOf(() => parseRaw(more)).message).toContain('"zzz" is in the file tree only');
    const latin = GOOD.replace('2:\xc3\xbc', '1:\xfc');
    expect(failureOf(() => parseRaw(latin)).message).toContain('not UTF-8');
  });

  test('is refused where a file does not begin with a piece', () => {
    const info = several([file(['a'], 5), file(['b'], 5)], {
      'meta version': 2,
      'file tree': { a: leaf(5), b: leaf(5) },
    });
    expect(refusal(info)).toContain('"b" does not begin with a piece');
  });
});

describe('parseMetainfo refuses', () => {
  test.each([
    ['in the file', `d8:announce1:a8:announce1:b4:infod${SINGLE}ee`],
    ['in the file, far apart', `d4:infod${SINGLE}e8:announce1:a4:infod${SINGLE}ee`],
    ['in the info dictionary', `d4:infod${SINGLE}4:name1:bee`],
    ['in what nobody reads', `d4:infod${SINGLE}1:zd1:bi1e1:ai1e1:bi1eeee`],
  ])('a repeated key %s', (_, text) => {
    const error = failureOf(() => parseMetainfo(raw(text)));
    expect([error.code, error.message]).toEqual(['InvalidBencode', expect.stringContaining('repeated')]);
  });

  test('odd integers where the content depends on them', () => {
    for (const [key, odd] of [
      ['6:lengthi5e', '6:lengthi05e'],
      ['6:lengthi5e', '6:lengthi-0e'],
      ['6:lengthi5e', '6:lengthi9007199254740992e'],
      ['i16384e', 'i016384e'],
    ] as const) {
      const error = failureOf(() => parseMetainfo(raw(`d4:infod${SINGLE.replace(key, odd)}ee`)));
      expect([error.code, error.message]).toEqual([
        'InvalidMetainfo',
        expect.stringContaining('oddly written'),
      ]);
    }
  });

  test.each([
    ['0', 0],
    ['negative', -16384],
    ['beyond what memory holds', 256 * KIB * KIB + 1],
    ['of 2^40', 2 ** 40],
  ])('a piece length that is %s', (_, pieceLength) => {
    expect(refusal({ ...singleFile, 'piece length': pieceLength })).toContain('piece length');
  });

  test('more blocks than the engine counts', () => {
    const pieceLength = 256 * KIB * KIB;
    const info = (count: number) => ({
      name: 'a',
      'piece length': pieceLength,
      length: count * pieceLength,
      pieces: hashes(count),
    });
    expect(parse(info(131_071)).pieceCount).toBe(131_071);
    expect(refusal(info(131_072), {}, 'TooLarge')).toContain('2147483648 blocks');
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
    ['in one folder', ['a'], ['a']],
  ])('the same path twice, %s', (_, one, other) => {
    const between = [file(['0'], 1), file(['a', 'a'], 1), file(['z'], 1)].filter(
      ({ path }) => one.length > 1 || (path as string[]).length === 1,
    );
    expect(refusal(several([file(one, 1), ...between, file(other, 1)]))).toContain('there twice');
  });

  test('a file where another path needs a folder, in either order', () => {
    const between = file(['a-', 'x'], 1);
    expect(refusal(several([file(['a'], 1), between, file(['a', 'b'], 1)]))).toContain('needs a folder');
    expect(refusal(several([file(['a', 'b', 'c'], 1), between, file(['a', 'b'], 1)]))).toContain('folder');
    expect(refusal(several([file(['a', 'b', 'c', 'd'], 1), between, file(['a'], 1)]))).toContain('folder');
  });

  test('symlinks (BEP 47), of several files or one', () => {
    const link = { attr: 'l', 'symlink path': ['..', 'etc'] };
    expect(refusal(several([file(['a'], 1), file(['b'], 0, link)]), {}, 'UnsupportedMetainfo')).toContain(
      'symlink',
    );
    expect(refusal({ ...singleFile, attr: 'xl' }, {}, 'UnsupportedMetainfo')).toContain('symlink');
  });

  test('version 2 alone and unknown versions (BEP 52)', () => {
    expect(
      refusal({ ...singleFile, pieces: undefined, 'meta version': 2 }, {}, 'UnsupportedMetainfo'),
    ).toContain('version 2');
    expect(refusal({ ...singleFile, 'meta version': 3 }, {}, 'UnsupportedMetainfo')).toContain('unknown');
  });

  test('no info dictionary, no dictionary, no bencode', () => {
    expect(failureOf(() => parseMetainfo(encodeBencode({ announce: 'x' }))).message).toContain('no info');
    expect(failureOf(() => parseMetainfo(encodeBencode({ info: 'x' }))).message).toContain(
      'info is not a dictionary',
    );
    expect(failureOf(() => parseMetainfo(encodeBencode([1]))).message).toContain('not a dictionary');
    expect(failureOf(() => parseMetainfo(Buffer.from('<html>'))).code).toBe('InvalidBencode');
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
