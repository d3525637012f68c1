// The short texts that kubectl's columns show. A column can show one field only, so `31/40` has to be one.
import type { ContentDistributionStatus } from './kinds/content-distribution.ts';
import type { NodeContentStatus } from './kinds/node-content.ts';
import { formatBytes, formatSeconds } from './quantity.ts';

/** The summary of a distribution's status; `now` is in milliseconds since 1970, for the time that is left. */
export function distributionSummary(
  { nodes, progress, content }: ContentDistributionStatus,
  now: number,
): NonNullable<ContentDistributionStatus['summary']> {
  const eta = progress?.estimatedCompletionTime;
  return {
    ...(nodes === undefined ? {} : { nodes: `${nodes.held}/${nodes.selected}` }),
    ...(progress === undefined ? {} : { progress: `${progress.percent}%` }),
    ...(content === undefined ? {} : { size: formatBytes(content.sizeBytes) }),
    ...(eta === undefined ? {} : { eta: formatSeconds((Date.parse(eta) - now) / 1000) }),
    ...(progress?.bytesPerSecond === undefined ? {} : { rate: `${formatBytes(progress.bytesPerSecond)}/s` }),
  };
}

/** The summary of a node's status. */
export function nodeContentSummary({
  revisions = [],
  storage,
}: NodeContentStatus): NonNullable<NodeContentStatus['summary']> {
  const inPhase = (...phases: string[]) => revisions.filter(({ phase }) => phases.includes(phase)).length;
  return {
    held: inPhase('Held'),
    downloading: inPhase('Pending', 'Downloading'),
    failed: inPhase('Failed', 'Unsupported'),
    ...(storage === undefined
      ? {}
      : { used: formatBytes(storage.usedBytes), available: formatBytes(storage.availableBytes) }),
  };
}
