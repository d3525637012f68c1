// Who is connected with whom. Invariant: no pair twice, nobody with itself, the same graph for the same seed.

/** Everybody with everybody. */
export function fullMesh(nodes: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let a = 0; a < nodes; a++) for (let b = a + 1; b < nodes; b++) pairs.push([a, b]);
  return pairs;
}

/** A random graph in which nearly every node has `degree` neighbours. */
export function nearRegular(nodes: number, degree: number, random: () => number): [number, number][] {
  if (degree >= nodes - 1) return fullMesh(nodes);
  const pairs: [number, number][] = [];
  const seen = new Set<number>();
  let stubs: number[] = [];
  for (let node = 0; node < nodes; node++) for (let i = 0; i < degree; i++) stubs.push(node);
  for (let attempt = 0; attempt < 50 && stubs.length > 1; attempt++) {
    for (let i = stubs.length - 1; i > 0; i--) {
      const j = Math.trunc(random() * (i + 1));
      [stubs[i], stubs[j]] = [stubs[j] as number, stubs[i] as number];
    }
    const left: number[] = [];
    for (let i = 0; i + 1 < stubs.length; i += 2) {
      const a = Math.min(stubs[i] as number, stubs[i + 1] as number);
      const b = Math.max(stubs[i] as number, stubs[i + 1] as number);
      const key = a * nodes + b;
      if (a === b || seen.has(key)) {
        left.push(a, b);
        continue;
      }
      seen.add(key);
      pairs.push([a, b]);
    }
    stubs = left;
  }
  return pairs;
}
