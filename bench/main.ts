/**
 * `npm run bench`: compares Enxame with other programs on this machine, side by side and in turn, prints one table
 * and writes bench/RESULTS.md when all benches ran.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes, parseQuantity } from '../api/index.ts';
import { bundle } from '../image/bundle.ts';
import type { Bench, Row } from './bench.ts';
import { CREATE } from './create.ts';
import { CLIENTS } from './pairs/clients.ts';
import { ROUND_TRIPS } from './pairs/round-trips.ts';
import { requirePeers } from './prerequisites.ts';
import { SHAPED } from './shaped.ts';
import { SIMULATE } from './simulate.ts';
import { tableOf } from './table.ts';
import { TRACKER } from './tracker.ts';
import { FAN_OUT, TRANSFER } from './transfer.ts';

const BENCHES: readonly Bench[] = [
  TRANSFER,
  FAN_OUT,
  SHAPED,
  CREATE,
  CLIENTS,
  ROUND_TRIPS,
  TRACKER,
  SIMULATE,
];
const RESULTS = join(import.meta.dirname, 'RESULTS.md');

const HELP = `npm run bench -- [BENCH…] [--runs N] [--size BYTES] [--output FILE]

${BENCHES.map(({ name, about }) => `  ${name.padEnd(12)}${about}`).join('\n')}

  --runs N        how often each contender runs (5)
  --size BYTES    bytes of content, such as 512Mi; the benches' own by default
  --output FILE   where the table is written; bench/RESULTS.md when all benches run
`;

const log = (line: string) => void process.stderr.write(`${line}\n`);

/** What the numbers were measured with. */
function surroundings(versions: readonly string[]): string {
  const [first] = cpus();
  return [
    `- ${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${first?.model.trim()}, ${formatBytes(totalmem())} of memory, Linux ${release()}`,
    `- congestion control ${readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim()}`,
    `- Node ${process.versions.node}; ${versions.join(', ')}`,
  ].join('\n');
}

const OPTIONS = {
  runs: { type: 'string', default: '5' },
  size: { type: 'string' },
  output: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** What is wrong with how it was called, and how it is meant. */
function misused(problem: string): number {
  process.stderr.write(`bench: ${problem}\n\n${HELP}`);
  return 2;
}

async function main(): Promise<number> {
  // Folders and networks are removed when the process exits; a signal alone would leave them.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  let parsed: ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;
  let size: number | undefined;
  try {
    parsed = parseArgs({ allowPositionals: true, options: OPTIONS });
    size = parsed.values.size === undefined ? undefined : parseQuantity(parsed.values.size);
  } catch (error) {
    return misused((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = positionals.filter((name) => BENCHES.every((bench) => bench.name !== name));
  const runs = Number(values.runs);
  if (unknown.length > 0) return misused(`there is no bench ${unknown.join(', ')}`);
  if (!Number.isInteger(runs) || runs < 1) return misused('--runs is a number from 1 on');
  const chosen = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const versions = await requirePeers(log);
  await bundle();
  const rows: Row[] = [];
  const texts: string[] = [];
  for (const bench of chosen) {
    log(`\n${bench.name}: ${bench.about}`);
    const result = await bench.run({ runs, size, log });
    rows.push(...result.rows);
    if (result.text !== undefined) texts.push(`### ${bench.name}\n\n\`\`\`\n${result.text}\n\`\`\``);
  }
  const table = tableOf(rows);
  process.stdout.write(`\n${table}\n`);
  const output = values.output ?? (positionals.length === 0 ? RESULTS : undefined);
  if (output === undefined) return 0;
  const head =
    '# Benches\n\nWritten by `npm run bench`. Medians of runs that took turns, least and most in brackets; × is ours by theirs.';
  mkdirSync(dirname(resolve(output)), { recursive: true });
  writeFileSync(
    output,
    `${[head, `${surroundings(versions)}\n- ${runs} runs each`, table, ...texts].join('\n\n')}\n`,
  );
  log(`written to ${output}`);
  return 0;
}

process.exitCode = await main();
