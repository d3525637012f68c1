/**
 * A histogram of durations whose observation is an addition or two: prom-client's own looks labels up and checks
 * them, which takes as long as half an announce.
 */
import { Histogram, type HistogramConfiguration } from 'prom-client';

export class DurationHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #buckets: readonly number[];
  /** Observations up to each bucket's bound and above the one before; the last is of those above all. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** @param configuration with buckets and without labels */
  constructor(configuration: HistogramConfiguration<string> & { readonly buckets: number[] }) {
    super(configuration);
    this.#name = configuration.name;
    this.#help = configuration.help;
    this.#buckets = configuration.buckets;
    this.#counts = new Float64Array(configuration.buckets.length + 1);
  }

  /** Hot: counts a duration. */
  note(seconds: number): void {
    let at = 0;
    while (at < this.#buckets.length && seconds > (this.#buckets[at] as number)) at += 1;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += seconds;
  }

  /** What prom-client reads a histogram by for Prometheus. */
  async getForPromString() {
    let count = 0;
    const values = [...this.#buckets, '+Inf'].map((le, at) => {
      count += this.#counts[at] as number;
      return { metricName: `${this.#name}_bucket`, labels: { le }, value: count };
    });
    return {
      name: this.#name,
      help: this.#help,
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...values,
        { metricName: `${this.#name}_sum`, labels: {}, value: this.#sum },
        { metricName: `${this.#name}_count`, labels: {}, value: count },
      ],
    };
  }
}
