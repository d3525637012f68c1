import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MemoryShare } from '../../../torrent/memory-ledger.ts';
import { MetadataAssembly, type MetadataSource } from '../../../torrent/swarm/metadata-assembly.ts';
import { fuzzParameters } from '../fuzz.ts';

const PIECE = 16 * 1024;
const info = Buffer.alloc(5 * PIECE + 100, 0);
for (let i = 0; i < info.length; i++) info[i] = (i * 7 + (i >> 8)) & 0xff;
const infoHash = createHash('sha1').update(info).digest();
const plenty = () => new MemoryShare(100 * 1024 * 1024).open();
const pieceOf = (piece: number) => info.subarray(piece * PIECE, (piece + 1) * PIECE);

/** A peer that writes down what it is asked. */
class Source implements MetadataSource {
  readonly name: string;
  asked: number[] = [];
  isLiar = false;

  constructor(name: string, isLiar = false) {
    this.name = name;
    this.isLiar = isLiar;
  }

  ask(piece: number): void {
    this.asked.push(piece);
  }

  answer(piece: number): Uint8Array {
    const right = Buffer.from(pieceOf(piece));
    if (this.isLiar) right[0] = (right[0] as number) ^ 1;
    return right;
  }
}

test('pieces are shared among those who have them, each asked once', () => {
  const assembly = new MetadataAssembly(infoHash, plenty());
  const [a, b] = [new Source('a'), new Source('b')];
  assembly.join(a, info.length, 0);
  assembly.join(b, info.length, 0);
  expect(a.asked).toEqual([0, 1, 2, 3]);
  expect(b.asked).toEqual([4, 5]);
  for (const piece of [0, 1, 2, 3]) {
    expect(assembly.received(a, piece, a.answer(piece), 1)).toEqual({ kind: 'more' });
  }
  expect(assembly.progress()).toEqual({ bytes: 4 * PIECE, totalBytes: info.length });
  assembly.received(b, 4, b.answer(4), 1);
  expect(assembly.received(b, 5, b.answer(5), 1)).toEqual({ kind: 'done', infoBytes: info });
});

test('a piece that is slow to come is asked of a second peer, and who never answers is told', () => {
  const assembly = new MetadataAssembly(infoHash, plenty());
  const [slow, quick] = [new Source('slow'), new Source('quick')];
  assembly.join(slow, info.length, 0);
  assembly.join(quick, info.length, 0);
  for (const piece of [4, 5]) assembly.received(quick, piece, quick.answer(piece), 100);
  quick.asked = [];
  expect(assembly.tick(1900)).toEqual([]);
  expect(quick.asked).toEqual([]);
  expect(assembly.tick(2100)).toEqual([]);
  expect(quick.asked).toEqual([0, 1, 2, 3]);
  expect(assembly.tick(10_050)).toEqual([slow]);
});

test('a refusal is taken elsewhere, and the peer is left alone for a while', () => {
  const assembly = new MetadataAssembly(infoHash, plenty());
  const [a, b] = [new Source('a'), new Source('b')];
  assembly.join(a, info.length, 0);
  a.asked = [];
  assembly.refused(a, 0, 10);
  expect(a.asked).toEqual([]);
  assembly.join(b, info.length, 20);
  expect(b.asked).toContain(0);
  assembly.refused(b, 0, 30);
  assembly.tick(16_000);
  expect(a.asked).toContain(0);
});

describe('liars', () => {
  test('who alone gave metadata that fails is guilty, and another is asked', () => {
    const assembly = new MetadataAssembly(infoHash, plenty());
    const liar = new Source('liar', true);
    assembly.join(liar, info.length, 0);
    let outcome: unknown;
    for (let piece = 0; piece < 6; piece++) outcome = assembly.received(liar, piece, liar.answer(piece), 1);
    expect(outcome).toEqual({ kind: 'guilty', source: liar });
    assembly.leave(liar, 1);
    const honest = new Source('honest');
    assembly.join(honest, info.length, 2);
    for (let piece = 0; piece < 6; piece++) {
      outcome = assembly.received(honest, piece, honest.answer(piece), 3);
    }
    expect(outcome).toEqual({ kind: 'done', infoBytes: info });
  });

  test('a piece of the wrong length proves it at once', () => {
    const assembly = new MetadataAssembly(infoHash, plenty());
    const liar = new Source('liar');
    assembly.join(liar, info.length, 0);
    expect(assembly.received(liar, 0, Buffer.alloc(5), 1)).toEqual({ kind: 'guilty', source: liar });
  });

  test('what nobody asked for is not kept', () => {
    const assembly = new MetadataAssembly(infoHash, plenty());
    const [a, stranger] = [new Source('a'), new Source('stranger')];
    assembly.join(a, info.length, 0);
    expect(assembly.received(stranger, 0, a.answer(0), 1)).toEqual({ kind: 'more' });
    expect(assembly.received(a, 5, a.answer(5), 1)).toEqual({ kind: 'more' });
    expect(assembly.progress().bytes).toBe(0);
  });

  test('claims of many sizes are bounded; one whose claimants left makes room', () => {
    const assembly = new MetadataAssembly(infoHash, plenty());
    const liars = [1, 2, 3, 4].map((size) => new Source(`${size}`));
    for (const [index, liar] of liars.entries()) expect(assembly.join(liar, 1000 + index, 0)).toBe(true);
    const honest = new Source('honest');
    expect(assembly.join(honest, info.length, 0)).toBe(false);
    assembly.leave(liars[0] as Source, 0);
    expect(assembly.join(honest, info.length, 0)).toBe(true);
    expect(honest.asked).toEqual([0, 1, 2, 3]);
  });

  test('claims that memory has no room for wait, and what is not needed any more is given back', () => {
    const share = new MemoryShare(2 * info.length);
    const assembly = new MetadataAssembly(infoHash, share.open());
    const [greedy, honest] = [new Source('greedy'), new Source('honest')];
    expect(assembly.join(greedy, 2 * info.length - 1, 0)).toBe(true);
    expect(assembly.join(honest, info.length, 0)).toBe(false);
    assembly.leave(greedy, 0);
    expect(share.usedBytes).toBe(0);
    expect(assembly.join(honest, info.length, 0)).toBe(true);
    // Who claims what another claims costs nothing more.
    expect(assembly.join(new Source('another'), info.length, 0)).toBe(true);
    expect(share.usedBytes).toBe(info.length);
    assembly.clear();
    expect(share.usedBytes).toBe(0);
  });
});

test('one honest peer is enough, whoever lies, refuses and in whatever order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('liar', 'mute', 'refuser', 'honest'), { maxLength: 6 }),
      fc.infiniteStream(fc.nat(1000)),
      (kinds, draws) => {
        const assembly = new MetadataAssembly(infoHash, plenty());
        const sources = [...kinds, 'honest'].map((kind) => new Source(kind, kind === 'liar'));
        const gone = new Set<Source>();
        const leave = (source: Source, now: number) => {
          gone.add(source);
          assembly.leave(source, now);
        };
        for (const source of sources) assembly.join(source, info.length, 0);
        for (let now = 1; now < 400_000; now += 100) {
          for (const silent of assembly.tick(now)) leave(silent as Source, now);
          const waiting = sources.filter((each) => each.asked.length > 0 && !gone.has(each));
          const source = waiting[(draws.next().value as number) % Math.max(1, waiting.length)];
          if (source === undefined || source.name === 'mute') continue;
          const piece = source.asked.shift() as number;
          if (source.name === 'refuser') {
            assembly.refused(source, piece, now);
            continue;
          }
          const outcome = assembly.received(source, piece, source.answer(piece), now);
          if (outcome.kind === 'done') {
            expect(outcome.infoBytes.equals(info)).toBe(true);
            return;
          }
          if (outcome.kind !== 'guilty') continue;
          expect((outcome.source as Source).name).toBe('liar');
          leave(outcome.source as Source, now);
        }
        throw new Error('it never came together');
      },
    ),
    fuzzParameters(200),
  );
});
