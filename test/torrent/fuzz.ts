// What the fuzz tests share. Invariant: a run can be repeated: fast-check prints the seed of a failure, and
// FUZZ_SEED sets it; FUZZ_RUNS makes runs longer than those of every day.
import fc from 'fast-check';

const seed = process.env.FUZZ_SEED === undefined ? undefined : Number(process.env.FUZZ_SEED);

/** Parameters for fc.assert: `runs` unless FUZZ_RUNS says otherwise. */
export function fuzzParameters(runs: number): fc.Parameters<unknown> {
  const numRuns = process.env.FUZZ_RUNS === undefined ? runs : Number(process.env.FUZZ_RUNS);
  return seed === undefined ? { numRuns } : { numRuns, seed };
}

/** Bytes near a valid input: some are changed, put in or taken out, or the end is cut off. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'remove', 'cut'),
    // Mostly the bytes that mean something in the formats here.
    byte: fc.oneof(fc.constantFrom(...Buffer.from('0123456789-:ilde')), fc.nat(255)),
  });
  return fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 6 })).map(([bytes, edits]) => {
    const list = [...bytes];
    for (const { at, kind, byte } of edits) {
      const index = at % (list.length + 1);
      if (kind === 'set') list[index] = byte;
      else if (kind === 'insert') list.splice(index, 0, byte);
      else if (kind === 'remove') list.splice(index, 1);
      else if (list.length > 4) list.length = index;
    }
    return Buffer.from(list);
  });
}
