/**
 * The page of `enxame simulate --html`: figures and two charts in one file. Invariant: it loads nothing, runs no
 * script, and is legible on light and dark screens and on paper.
 */
import type { SimulationOptions, SimulationResult } from '../../simulation/simulation.ts';
import { VERSION } from '../version.ts';

const WIDTH = 880;
const HEIGHT = 320;
const LEFT = 64;
const RIGHT = 16;
const TOP = 28;
const BOTTOM = 44;

interface Series {
  readonly name: string;
  /** A class of the style sheet. */
  readonly style: string;
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

interface Chart {
  readonly title: string;
  readonly about: string;
  readonly unit: string;
  readonly series: readonly Series[];
  /** A moment worth a line. */
  readonly mark: { readonly seconds: number; readonly name: string };
}

const STYLE = `:root{color-scheme:light dark;--ink:#1b1f24;--faint:#5a636e;--line:#d5dae0;--page:#fff;--a:#0b62d6;--b:#b4540a;--c:#18794e}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--faint:#a3adb8;--line:#3a424b;--page:#14181c;--a:#6cb0ff;--b:#ffa657;--c:#5fd08f}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .25rem}p{color:var(--faint);margin:.25rem 0 .75rem}
table{border-collapse:collapse}th{text-align:left;font-weight:600;padding:.15rem 1.5rem .15rem 0;vertical-align:top}td{padding:.15rem 0;font-variant-numeric:tabular-nums}
.plot{overflow-x:auto}.plot svg{min-width:48rem}svg{width:100%;height:auto;display:block}svg text{fill:var(--faint);font:13px system-ui,sans-serif}.grid{stroke:var(--line)}.mark{stroke:var(--faint);stroke-dasharray:4 4}
.series{fill:none;stroke-width:2.5;stroke-linejoin:round}.a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c);stroke-dasharray:2 3}
.key{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;font-size:.9rem}.key svg{width:28px;height:12px;display:inline-block;margin-right:.4rem}
footer{margin-top:2rem;color:var(--faint);font-size:.85rem}`;

/** The page, as HTML. `facts` are the lines of its table. */
export function simulationPage(
  options: SimulationOptions,
  { timeline }: SimulationResult,
  facts: readonly (readonly [string, string])[],
): string {
  const mark = {
    seconds: (options.pieceCount * options.pieceLength) / options.linkBytesPerSecond,
    name: 'size ÷ rate',
  };
  const completion: Chart = {
    title: 'Nodes that are complete',
    about:
      'The nearer to the dashed line the curve rises, the less time was lost: nobody can be complete before it.',
    unit: 'nodes',
    mark,
    series: [
      { name: 'complete', style: 'a', points: timeline.map(({ seconds, complete }) => [seconds, complete]) },
      { name: 'present', style: 'c', points: timeline.map(({ seconds, present }) => [seconds, present]) },
    ],
  };
  const availability: Chart = {
    title: 'Copies of a piece',
    about:
      'How many of the nodes present hold a piece, the seed among them. Where the rarest has no copy, the swarm cannot complete.',
    unit: 'copies',
    mark,
    series: [
      {
        name: 'commonest piece',
        style: 'c',
        points: timeline.map(({ seconds, commonest }) => [seconds, commonest]),
      },
      { name: 'mean', style: 'a', points: timeline.map(({ seconds, mean }) => [seconds, mean]) },
      { name: 'rarest piece', style: 'b', points: timeline.map(({ seconds, rarest }) => [seconds, rarest]) },
    ],
  };
  const rows = facts.map(
    ([name, value]) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated swarm of ${options.leechers} nodes</title>
<style>${STYLE}</style></head>
<body>
<h1>Simulated swarm of ${options.leechers} nodes</h1>
<table>${rows.join('\n')}</table>
${chart(completion)}
${chart(availability)}
<footer>enxame ${VERSION}, seed ${options.seed}: the same options give the same figures.</footer>
</body>
</html>
`;
}

function chart({ title, about, unit, series, mark }: Chart): string {
  const all = series.flatMap(({ points }) => points);
  // The curves reach to the right edge; the last round number may lie before it.
  const widest = Math.max(mark.seconds, ...all.map(([seconds]) => seconds));
  const across = ticks(widest).filter((seconds) => seconds <= widest);
  // What is counted is whole.
  const up = ticks(Math.max(1, ...all.map(([, value]) => value))).filter(Number.isInteger);
  const highest = up.at(-1) as number;
  const x = (seconds: number) => rounded(LEFT + (seconds / widest) * (WIDTH - LEFT - RIGHT));
  const y = (value: number) => rounded(HEIGHT - BOTTOM - (value / highest) * (HEIGHT - TOP - BOTTOM));
  const bottom = HEIGHT - BOTTOM;
  const lines = [
    ...up.map(
      (value) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${value}</text>`,
    ),
    ...across.map(
      (seconds) => `<text x="${x(seconds)}" y="${bottom + 18}" text-anchor="middle">${seconds}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">seconds</text>`,
    `<text transform="translate(14 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${unit}</text>`,
    `<line class="mark" x1="${x(mark.seconds)}" x2="${x(mark.seconds)}" y1="${TOP - 20}" y2="${bottom}"/>${markName(mark.name, x(mark.seconds))}`,
    ...series.map(
      ({ style, points }) =>
        `<polyline class="series ${style}" points="${points.map(([seconds, value]) => `${x(seconds)},${y(value)}`).join(' ')}"/>`,
    ),
  ];
  const keys = series.map(
    ({ name, style }) =>
      `<span><svg viewBox="0 0 28 12" aria-hidden="true"><line class="series ${style}" x1="0" x2="28" y1="6" y2="6"/></svg>${name}</span>`,
  );
  return `<h2>${title}</h2>
<p>${about}</p>
<div class="plot"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title} over time">${lines.join('\n')}</svg></div>
<div class="key">${keys.join('')}</div>`;
}

/** Above the curves, on the side of the line where there is room for it. */
function markName(name: string, x: number): string {
  const isLeft = x > LEFT + 100;
  return `<text x="${isLeft ? x - 6 : x + 6}" y="${TOP - 9}" text-anchor="${isLeft ? 'end' : 'start'}">${name}</text>`;
}

/** Round numbers from 0 to the first one that is not below `most`. */
function ticks(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  );
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
