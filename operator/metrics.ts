// What the operator tells Prometheus: its own work, and, because it alone sees them, series per distribution.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ContentDistribution } from '../api/index.ts';
import type { StatusDecision } from './status/decide.ts';

const NODE_STATES = [
  'selected',
  'held',
  'downloading',
  'pending',
  'failed',
  'unavailable',
  'active',
] as const;

export class OperatorMetrics {
  readonly registry = new Registry();
  readonly #reconciles: Counter<'duty' | 'result'>;
  readonly #seconds: Histogram<'duty'>;
  readonly #statusWrites: Counter;
  readonly #orphans: Counter;
  readonly #leader: Gauge;
  readonly #nodes: Gauge<'namespace' | 'name' | 'state'>;
  readonly #conditions: Gauge<'namespace' | 'name' | 'condition'>;
  readonly #size: Gauge<'namespace' | 'name'>;
  readonly #progress: Gauge<'namespace' | 'name'>;
  readonly #rate: Gauge<'namespace' | 'name'>;
  /** Conditions of each distribution that have series, to take them away again. */
  readonly #known = new Map<string, Set<string>>();

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry, prefix: 'enxame_operator_' });
    this.#reconciles = new Counter({
      name: 'enxame_operator_reconciles_total',
      help: 'Reconciles, by duty and result.',
      labelNames: ['duty', 'result'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'enxame_operator_reconcile_seconds',
      help: 'How long a reconcile took.',
      labelNames: ['duty'],
      buckets: [0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    });
    this.#statusWrites = new Counter({
      name: 'enxame_operator_status_writes_total',
      help: 'Writes of the status of distributions.',
      registers,
    });
    this.#orphans = new Counter({
      name: 'enxame_operator_orphans_removed_total',
      help: 'Objects removed because their distribution is gone.',
      registers,
    });
    this.#leader = new Gauge({
      name: 'enxame_operator_leader_info',
      help: '1 while this replica leads.',
      registers,
    });
    const labelNames = ['namespace', 'name'] as const;
    this.#nodes = new Gauge({
      name: 'enxame_operator_distribution_nodes',
      help: 'Nodes of a distribution, by state.',
      labelNames: [...labelNames, 'state'],
      registers,
    });
    this.#conditions = new Gauge({
      name: 'enxame_operator_distribution_condition_info',
      help: 'Conditions of a distribution: 1 true, 0 false, -1 unknown.',
      labelNames: [...labelNames, 'condition'],
      registers,
    });
    this.#size = new Gauge({
      name: 'enxame_operator_distribution_size_bytes',
      help: 'Size of the desired revision.',
      labelNames,
      registers,
    });
    this.#progress = new Gauge({
      name: 'enxame_operator_distribution_progress_ratio',
      help: 'Share of all bytes on all selected nodes that is there, 0 to 1.',
      labelNames,
      registers,
    });
    this.#rate = new Gauge({
      name: 'enxame_operator_distribution_receive_bytes_per_second',
      help: 'Bytes per second that the nodes receive together.',
      labelNames,
      registers,
    });
  }

  reconciled(duty: string, result: 'ok' | 'error', seconds: number): void {
    this.#reconciles.inc({ duty, result });
    this.#seconds.observe({ duty }, seconds);
  }

  statusWritten(): void {
    this.#statusWrites.inc();
  }

  orphansRemoved(count: number): void {
    this.#orphans.inc(count);
  }

  leads(isLeader: boolean): void {
    this.#leader.set(isLeader ? 1 : 0);
  }

  /** Takes in how a distribution stands. */
  observed({ metadata }: ContentDistribution, { status }: StatusDecision): void {
    const labels = { namespace: metadata.namespace ?? '', name: metadata.name };
    const key = `${labels.namespace}/${labels.name}`;
    const conditions = this.#known.get(key) ?? new Set();
    this.#known.set(key, conditions);
    for (const state of NODE_STATES) this.#nodes.set({ ...labels, state }, status.nodes?.[state] ?? 0);
    for (const { type, status: value } of status.conditions ?? []) {
      conditions.add(type);
      this.#conditions.set({ ...labels, condition: type }, value === 'True' ? 1 : value === 'False' ? 0 : -1);
    }
    this.#size.set(labels, status.content?.sizeBytes ?? 0);
    this.#progress.set(labels, (status.progress?.percent ?? 0) / 100);
    this.#rate.set(labels, status.progress?.bytesPerSecond ?? 0);
  }

  /** Takes away the series of a distribution that is gone. */
  gone(key: string): void {
    const conditions = this.#known.get(key);
    if (conditions === undefined) return;
    this.#known.delete(key);
    const slash = key.indexOf('/');
    const labels = { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
    for (const state of NODE_STATES) this.#nodes.remove({ ...labels, state });
    for (const condition of conditions) this.#conditions.remove({ ...labels, condition });
    for (const gauge of [this.#size, this.#progress, this.#rate]) gauge.remove(labels);
  }

  /** Forgets every distribution: this replica leads no longer. */
  forgetDistributions(): void {
    for (const key of [...this.#known.keys()]) this.gone(key);
  }
}
