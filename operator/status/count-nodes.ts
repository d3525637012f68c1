// How many nodes are how far with the desired revision.
//
// Invariant: selected = held + downloading + pending + failed + unavailable.
import type { Placement } from '../../api/index.ts';
import { isSelected, type NodeState, revisionOn, revisionsOn } from '../nodes/node-state.ts';

/** A node that cannot get the content. */
export interface FailedNode {
  readonly name: string;
  readonly reason: string;
  readonly message: string;
}

/** The count. */
export interface NodeCount {
  readonly selected: number;
  readonly held: number;
  readonly downloading: number;
  readonly pending: number;
  readonly failed: number;
  /** Not ready, or its agent is not. */
  readonly unavailable: number;
  /** Eligible nodes that show the revision to Pods. */
  readonly active: number;
  /** Selected nodes that are ready and have a ready agent. */
  readonly eligible: number;
  /** By name. */
  readonly failedNodes: readonly FailedNode[];
  /** Names of nodes that download the revision. */
  readonly downloaders: ReadonlySet<string>;
}

/** Counts. Without a revision every node that could is pending. */
export function countNodes(
  nodes: readonly NodeState[],
  placement: Placement | undefined,
  uid: string,
  revision: string | undefined,
): NodeCount {
  const count = { held: 0, downloading: 0, pending: 0, failed: 0, unavailable: 0, active: 0, eligible: 0 };
  const failedNodes: FailedNode[] = [];
  const downloaders = new Set<string>();
  let selected = 0;
  for (const node of nodes) {
    if (!isSelected(placement, node)) continue;
    selected += 1;
    if (!node.live) {
      count.unavailable += 1;
      continue;
    }
    count.eligible += 1;
    const entry = revision === undefined ? undefined : revisionOn(node, uid, revision);
    if (entry?.active === true) count.active += 1;
    switch (entry?.phase) {
      case 'Held':
        count.held += 1;
        break;
      case 'Downloading':
        count.downloading += 1;
        downloaders.add(node.name);
        break;
      case 'Failed':
      case 'Unsupported':
        count.failed += 1;
        failedNodes.push({
          name: node.name,
          reason: entry.reason || entry.phase,
          message: entry.message ?? '',
        });
        break;
      default:
        count.pending += 1;
    }
  }
  failedNodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { selected, ...count, failedNodes, downloaders };
}

/** The revision that most live nodes show to Pods; of several, the first by name. */
export function activeRevision(nodes: readonly NodeState[], uid: string): string | undefined {
  const shown = new Map<string, number>();
  for (const node of nodes) {
    if (!node.live) continue;
    for (const entry of revisionsOn(node, uid))
      if (entry.active === true) shown.set(entry.revision, (shown.get(entry.revision) ?? 0) + 1);
  }
  return [...shown].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0];
}

/** How many live nodes hold a revision, whether they are selected or not. */
export function holderCount(nodes: readonly NodeState[], uid: string, revision: string): number {
  return nodes.filter((node) => node.live && revisionOn(node, uid, revision)?.phase === 'Held').length;
}
