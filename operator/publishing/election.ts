// Which node receives a publication: the one that reads the source, for all of them.
import { createHash } from 'node:crypto';
import { MAX_PUBLISHING, type Placement } from '../../api/index.ts';
import { isSelected, type NodeState } from '../nodes/node-state.ts';

/** What is asked of the node. */
export interface Candidacy {
  readonly uid: string;
  readonly placement: Placement | undefined;
  /** Bytes that are expected, or the most there may be; undefined where nobody knows. */
  readonly expectedBytes: number | undefined;
  /** Nodes that are out of the question. */
  readonly excluded: ReadonlySet<string>;
}

/** An election: the node, or why there is none, as a sentence for people. */
export type Election = { readonly node: NodeState } | { readonly node: undefined; readonly message: string };

const rank = (uid: string, node: string) => createHash('sha256').update(`${uid}\n${node}`).digest('hex');
const room = (node: NodeState) => node.content?.status?.storage?.availableBytes ?? 0;
const publications = (node: NodeState) => node.content?.spec?.publishing?.length ?? 0;

function canReceive(node: NodeState): boolean {
  return (
    node.live &&
    node.agent?.address !== undefined &&
    node.content?.spec?.paused !== true &&
    publications(node) < MAX_PUBLISHING
  );
}

/**
 * Elects a node. Those with room for what is expected come first, least busy first; where nobody knows the
 * size, the one with most room. Ties are broken by a hash, so that distributions spread over equal nodes and
 * two operators come to the same node.
 */
export function electNode(nodes: readonly NodeState[], candidacy: Candidacy): Election {
  const { uid, placement, expectedBytes, excluded } = candidacy;
  const selected = nodes.filter((node) => isSelected(placement, node));
  if (selected.length === 0)
    return { node: undefined, message: 'no node is selected: label nodes, or change placement' };
  const candidates = selected.filter((node) => canReceive(node) && !excluded.has(node.name));
  if (candidates.length === 0) {
    const message =
      excluded.size > 0
        ? `none of the ${selected.length} selected nodes can receive the content`
        : `none of the ${selected.length} selected nodes is ready and has a ready agent`;
    return { node: undefined, message };
  }
  const fits = (node: NodeState) => (expectedBytes === undefined || room(node) >= expectedBytes ? 1 : 0);
  const busyFirst = expectedBytes === undefined ? 0 : 1;
  candidates.sort(
    (a, b) =>
      fits(b) - fits(a) ||
      busyFirst * (publications(a) - publications(b)) ||
      room(b) - room(a) ||
      publications(a) - publications(b) ||
      (rank(uid, a.name) < rank(uid, b.name) ? -1 : 1),
  );
  return { node: candidates[0]! };
}
