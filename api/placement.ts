// Which nodes a placement selects, with the semantics of Kubernetes' scheduler
// (k8s.io/component-helpers/scheduling/corev1/nodeaffinity).
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Placement } from './kinds/parts.ts';

/** As much of a Node as decides. */
export interface PlacementNode {
  metadata?: { name?: string; labels?: { [key: string]: string } };
}

const INTEGER = /^[+-]?[0-9]{1,19}$/;

function meets(value: string | undefined, requirement: NodeSelectorRequirement): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    // A node without the label is not in any set: NotIn holds, as in labels.Requirement.
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const bound = values[0];
      if (value === undefined || bound === undefined || !INTEGER.test(value) || !INTEGER.test(bound))
        return false;
      return requirement.operator === 'Gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound);
    }
    default:
      // A newer operator's word: selecting nothing is the safe reading.
      return false;
  }
}

function matchesTerm(term: NodeSelectorTerm, node: PlacementNode): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  // A term without requirements matches no node, unlike an empty label selector.
  if (expressions.length === 0 && fields.length === 0) return false;
  const labels = node.metadata?.labels ?? {};
  return (
    expressions.every((requirement) => meets(ownValue(labels, requirement.key), requirement)) &&
    fields.every(
      (requirement) => requirement.key === 'metadata.name' && meets(node.metadata?.name, requirement),
    )
  );
}

function ownValue(labels: { [key: string]: string }, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/** Whether the placement selects the node. No placement selects every node. */
export function matchesPlacement(placement: Placement | undefined, node: PlacementNode): boolean {
  if (placement === undefined) return true;
  const labels = node.metadata?.labels ?? {};
  const selected = Object.entries(placement.nodeSelector ?? {}).every(
    ([key, value]) => ownValue(labels, key) === value,
  );
  if (!selected) return false;
  const terms = placement.nodeAffinity?.nodeSelectorTerms;
  return terms === undefined || terms.some((term) => matchesTerm(term, node));
}

/**
 * The placement as one core NodeSelector that selects the same nodes, for the affinity of a PersistentVolume.
 * No placement is every Linux node, because a local volume must name an affinity.
 */
export function placementNodeSelector(placement: Placement | undefined): NodeSelector {
  const fromLabels: NodeSelectorRequirement[] = Object.entries(placement?.nodeSelector ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ key, operator: 'In', values: [value] }));
  const terms = placement?.nodeAffinity?.nodeSelectorTerms;
  if (terms === undefined) {
    const everyNode: NodeSelectorRequirement = { key: 'kubernetes.io/os', operator: 'In', values: ['linux'] };
    return { nodeSelectorTerms: [{ matchExpressions: fromLabels.length > 0 ? fromLabels : [everyNode] }] };
  }
  const joined = terms
    // An empty term selects nothing; with labels added to it, it would.
    .filter((term) => (term.matchExpressions?.length ?? 0) + (term.matchFields?.length ?? 0) > 0)
    .map((term) => ({ ...term, matchExpressions: [...fromLabels, ...(term.matchExpressions ?? [])] }));
  return { nodeSelectorTerms: joined.length > 0 ? joined : [{}] };
}
