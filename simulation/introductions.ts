// Who gets to know whom by way of a tracker. Invariant: no pair twice, nobody with itself, nobody has more than a
// third above the neighbours wanted.
// It is how agents do it: of those they are told of they dial half as many as they want, others dial them, and who
// was not told of enough asks again.

/** Tells a node of others, by number; to be in the answers of others it must have asked itself. */
export type Introducer = (asker: number) => readonly number[];

/** Nobody has more than so many times the neighbours wanted. */
const MOST = 4 / 3;
const DIALLED = 1 / 2;
/** Where some cannot have enough, an end comes all the same. */
const MOST_ROUNDS = 20;

/** Lets nodes, numbered from 0, come one after another; gives the pairs, the lower number first. */
export function introduce(nodes: number, wanted: number, ask: Introducer): [number, number][] {
  const known = Array.from({ length: nodes }, () => new Set<number>());
  const dialled = new Float64Array(nodes);
  const pairs: [number, number][] = [];
  const neighbours = (node: number) => known[node] as Set<number>;
  const mostDialled = Math.ceil(wanted * DIALLED);
  const most = Math.ceil(wanted * MOST);
  const dialFrom = (node: number, answer: readonly number[]) => {
    for (const other of answer) {
      if (dialled[node] === mostDialled || neighbours(node).size >= most) return;
      if (other === node || neighbours(node).has(other) || neighbours(other).size >= most) continue;
      neighbours(node).add(other);
      neighbours(other).add(node);
      dialled[node] = (dialled[node] as number) + 1;
      pairs.push([Math.min(node, other), Math.max(node, other)]);
    }
  };
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    let asked = 0;
    for (let node = 0; node < nodes; node += 1) {
      if (dialled[node] === mostDialled || neighbours(node).size >= wanted) continue;
      asked += 1;
      dialFrom(node, ask(node));
    }
    if (asked === 0) break;
  }
  return pairs;
}
