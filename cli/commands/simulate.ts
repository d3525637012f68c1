/**
 * `enxame simulate`: the product's own decisions on a virtual network, as a table, as JSON, or as a page. The same
 * options give the same figures on every machine.
 */
import { stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { formatBytes } from '../../api/quantity.ts';
import {
  type SimulationOptions,
  type SimulationProgress,
  type SimulationResult,
  simulationSteps,
} from '../../simulation/simulation.ts';
import { EXIT_FAILURE, inOneLine } from '../errors.ts';
import type { Program } from '../run.ts';
import { type SimulateOptions, simulationOf } from '../simulation/simulation-options.ts';
import { simulationPage } from '../simulation/simulation-page.ts';
import { Screen } from '../terminal/screen.ts';

/** How far it is is told so often. */
const TELL_MILLISECONDS = 200;

/** Simulates a swarm and says what came of it. 1 if some node that stayed could not complete. */
export function simulation(options: SimulateOptions): Program {
  return async ({ signal }) => {
    const simulated = simulationOf(options);
    if (options.html !== undefined) await refusePage(options.html);
    const screen = new Screen(process.stderr);
    const result = await simulateWithPauses(simulated, signal, ({ seconds, missing }) => {
      if (!options.json)
        screen.status(
          `simulating: ${inSeconds(seconds)}, ${missing} of ${simulated.leechers} nodes not complete`,
        );
    });
    screen.clear();
    if (result === undefined) {
      screen.line('enxame simulate: stopped; nothing is kept, and the same command gives the same figures');
      return EXIT_FAILURE;
    }
    if (options.html !== undefined) await writePage(options.html, simulated, result);
    process.stdout.write(
      options.json ? `${JSON.stringify(asJson(simulated, result))}\n` : asText(simulated, result),
    );
    return result.incomplete === 0 ? 0 : 1;
  };
}

/** Lets signals and the terminal have their turn; undefined if it was stopped. */
async function simulateWithPauses(
  options: SimulationOptions,
  signal: AbortSignal,
  tell: (progress: SimulationProgress) => void,
): Promise<SimulationResult | undefined> {
  const steps = simulationSteps(options);
  let toldAt = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    const now = performance.now();
    if (now - toldAt > TELL_MILLISECONDS) {
      toldAt = now;
      tell(value);
    }
    await nextTurn();
    if (signal.aborted) return undefined;
  }
}

/** Before minutes of simulation. */
async function refusePage(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  if (
    await stat(folder).then(
      (status) => status.isDirectory(),
      () => false,
    )
  )
    return;
  throw new Error(
    `cannot write the page: ${folder} is no folder; use --html with a file in a folder that exists`,
  );
}

async function writePage(path: string, options: SimulationOptions, result: SimulationResult): Promise<void> {
  try {
    await writeFile(path, simulationPage(options, result, facts(options, result)));
  } catch (error) {
    throw new Error(
      `cannot write the page: ${inOneLine(error)}; use --html with a file in a folder that exists`,
      {
        cause: error,
      },
    );
  }
}

/** At which second a share of those who completed were complete. */
function quantile(result: SimulationResult, share: number): number | undefined {
  const sorted = result.completedSeconds.filter((seconds) => seconds >= 0).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.trunc(share * sorted.length))];
}

function ratioOf(options: SimulationOptions, seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return 'never';
  const ideal = (options.pieceCount * options.pieceLength) / options.linkBytesPerSecond;
  return `${inSeconds(seconds)} (${(seconds / ideal).toFixed(3)} × the ideal)`;
}

/** Four digits: what matters is the difference between times that are nearly the same. */
function inSeconds(seconds: number): string {
  return `${Number(seconds.toPrecision(4))} s`;
}

/** What people want to know, line by line. */
function facts(options: SimulationOptions, result: SimulationResult): [string, string][] {
  const total = options.pieceCount * options.pieceLength;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return [
    [
      'Swarm',
      `1 seed and ${options.leechers} nodes, ${options.policy} policy, ${options.degree ?? 'all'} neighbours each`,
    ],
    [
      'Content',
      `${formatBytes(total)}: ${options.pieceCount} ${options.pieceCount === 1 ? 'piece' : 'pieces'} of ${formatBytes(options.pieceLength)}`,
    ],
    ['Links', linksOf(options)],
    ...comingsAndGoings(options),
    ['Ideal time', `${inSeconds(total / options.linkBytesPerSecond)} (size ÷ rate)`],
    ['First node', ratioOf(options, quantile(result, 0))],
    ['Half of the nodes', ratioOf(options, quantile(result, 0.5))],
    ['Last node', ratioOf(options, result.makespanSeconds)],
    [
      'Complete',
      `${result.completedSeconds.filter((seconds) => seconds >= 0).length} nodes; ${result.left} left, ${result.incomplete} stayed behind`,
    ],
    ...((options.zones ?? 1) > 1
      ? [['Between zones', betweenZones(options, result)] as [string, string]]
      : []),
    ['Sent by the seed', `${result.seedCopies.toFixed(3)} × the content`],
    ['Received twice', percent(result.duplicateShare)],
    ['Asked for twice', percent(result.endgameShare)],
  ];
}

/** How fast and how far apart nodes are. */
function linksOf(options: SimulationOptions): string {
  const { linkBytesPerSecond: down, upBytesPerSecond: up = down } = options;
  const { delayMilliseconds: least = 0, delaySpreadMilliseconds: spread = 0 } = options;
  const rates = up === down ? `${inBits(down)} each way` : `${inBits(down)} down, ${inBits(up)} up`;
  return `${rates}; ${least}${spread > 0 ? ` to ${least + spread}` : ''} ms from node to node`;
}

/** As links are sold. */
function inBits(bytesPerSecond: number): string {
  const megabits = (8 * bytesPerSecond) / 1e6;
  return megabits < 1000
    ? `${Number(megabits.toPrecision(4))} Mbit/s`
    : `${Number((megabits / 1000).toPrecision(4))} Gbit/s`;
}

/** What is asked for besides nodes that come at once and stay. */
function comingsAndGoings(options: SimulationOptions): [string, string][] {
  const { churnShare = 0, lateShare = 0, seedLeavesOnceOut } = options;
  const share = (part: number) => `${Number((100 * part).toPrecision(3))} % of the nodes`;
  const happenings = [
    ...(churnShare > 0 ? [`${share(churnShare)} vanish`] : []),
    ...(lateShare > 0 ? [`${share(lateShare)} come late`] : []),
    ...(seedLeavesOnceOut ? ['the seed is lost once every piece is out'] : []),
  ];
  return happenings.length === 0 ? [] : [['Comings and goings', happenings.join(', ')]];
}

/** What went from zone to zone, of what nodes got in all. */
function betweenZones({ zones }: SimulationOptions, { crossZoneBytes, sentBytes }: SimulationResult): string {
  const share = sentBytes === 0 ? 0 : crossZoneBytes / sentBytes;
  return `${formatBytes(crossZoneBytes)}, ${(100 * share).toFixed(1)} % of all bytes; ${zones} zones`;
}

function asText(options: SimulationOptions, result: SimulationResult): string {
  const rows = facts(options, result);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** The figures as data; what never happened is null. */
function asJson(options: SimulationOptions, result: SimulationResult): object {
  const orNull = (seconds: number | undefined) =>
    seconds === undefined || !Number.isFinite(seconds) ? null : seconds;
  return {
    nodes: options.leechers,
    pieces: options.pieceCount,
    pieceLength: options.pieceLength,
    blockLength: options.blockBytes,
    neighbours: options.degree ?? options.leechers,
    policy: options.policy,
    seed: options.seed,
    idealSeconds: (options.pieceCount * options.pieceLength) / options.linkBytesPerSecond,
    makespanSeconds: orNull(result.makespanSeconds),
    makespanRatio: orNull(result.makespanRatio),
    firstSeconds: orNull(quantile(result, 0)),
    medianSeconds: orNull(quantile(result, 0.5)),
    complete: result.completedSeconds.filter((seconds) => seconds >= 0).length,
    left: result.left,
    incomplete: result.incomplete,
    zones: options.zones ?? 1,
    sentBytes: result.sentBytes,
    crossZoneBytes: result.crossZoneBytes,
    seedCopies: result.seedCopies,
    duplicateShare: result.duplicateShare,
    endgameShare: result.endgameShare,
    events: result.events,
    timeline: result.timeline,
  };
}
