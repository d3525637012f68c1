/** What a person may ask of a simulation, in bounds that a machine can simulate, and as the simulation takes it. */
import type { SimulationOptions } from '../../simulation/simulation.ts';
import { UsageError } from '../errors.ts';
import { introducedPairs } from './simulated-tracker.ts';

/** Longer pieces have no more blocks than this, so that a simulation does not take longer for them. */
const BLOCKS_PER_PIECE = 4;
const BLOCK_BYTES = 16 * 1024;
const MOST_NODES = 100_000;
const MOST_PIECES = 100_000;
/** Nodes × pieces: what an hour and 16 GiB are enough for. */
const MOST_WORK = 50_000_000;

/** The options of the command line. */
export interface SimulateOptions {
  readonly nodes: number;
  readonly pieces: number;
  readonly pieceLength: number;
  readonly blockLength?: number;
  readonly rate: number;
  readonly up?: number;
  readonly delay: number;
  readonly delaySpread: number;
  readonly neighbours: number;
  readonly zones: number;
  readonly zoneShare?: number;
  readonly zoneRate?: number;
  readonly policy: 'cluster' | 'classic';
  readonly churn: number;
  readonly late: number;
  readonly lateBy?: number;
  readonly seedLoss?: boolean;
  readonly seed: number;
  readonly html?: string;
  readonly json?: boolean;
}

/** What is simulated, as the simulation takes it. @throws UsageError */
export function simulationOf(options: SimulateOptions): SimulationOptions {
  const { nodes, pieces, pieceLength, rate, neighbours, zones } = options;
  within('--nodes', nodes, 1, MOST_NODES);
  within('--pieces', pieces, 1, MOST_PIECES);
  within('--neighbours', neighbours, 1, MOST_NODES);
  within('--piece-length', pieceLength, 1024, 2 ** 30);
  within('--zones', zones, 1, nodes + 1);
  if (zones === 1 && (options.zoneShare !== undefined || options.zoneRate !== undefined))
    throw new UsageError('--zone-share and --zone-rate need several zones; add --zones NUMBER');
  if (nodes * pieces > MOST_WORK)
    throw new UsageError(
      `${nodes} nodes × ${pieces} pieces is more than can be simulated; give --nodes or --pieces a smaller number, their product may be ${MOST_WORK}`,
    );
  for (const [option, value] of [
    ['--rate', rate],
    ['--up', options.up ?? rate],
    ['--zone-rate', options.zoneRate ?? rate],
  ] as const) {
    if (!(value > 0))
      throw new UsageError(`${option} is 0; it must be a positive number of bytes per second`);
  }
  const blockBytes = options.blockLength ?? Math.max(BLOCK_BYTES, Math.ceil(pieceLength / BLOCKS_PER_PIECE));
  within('--block-length', blockBytes, 1, Math.max(pieceLength, BLOCK_BYTES));
  const total = pieces * pieceLength;
  if (total > Number.MAX_SAFE_INTEGER)
    throw new UsageError(
      `${pieces} pieces of ${pieceLength} bytes are too much; use a smaller --piece-length`,
    );
  return {
    leechers: nodes,
    policy: options.policy,
    pieceCount: pieces,
    pieceLength,
    blockBytes: Math.min(blockBytes, pieceLength),
    linkBytesPerSecond: rate,
    ...(options.up !== undefined && { upBytesPerSecond: options.up }),
    delayMilliseconds: options.delay,
    delaySpreadMilliseconds: options.delaySpread,
    ...(neighbours < nodes && { degree: neighbours }),
    ...(zones > 1 && zonesOf(options)),
    seed: options.seed,
    churnShare: options.churn,
    lateShare: options.late,
    ...(options.lateBy !== undefined && { lateSeconds: options.lateBy }),
    seedLeavesOnceOut: options.seedLoss ?? false,
  };
}

/** Nodes that a tracker brings together, and the lines between their zones. */
function zonesOf(
  options: SimulateOptions,
): Pick<SimulationOptions, 'zones' | 'pairs' | 'zoneBytesPerSecond'> {
  const { nodes, neighbours, zones, zoneShare, zoneRate, seed } = options;
  return {
    zones,
    pairs: introducedPairs({ nodes: nodes + 1, neighbours, zones, zoneShare, seed }),
    ...(zoneRate !== undefined && { zoneBytesPerSecond: zoneRate }),
  };
}

function within(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new UsageError(`${option} is ${value}; it must be a whole number from ${least} to ${most}`);
}
