/** What a tracker tells Prometheus: `enxame_tracker_<what>_<unit>`, and the figures of the process. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Answer } from './announce/announcer.ts';
import { DurationHistogram } from './duration-histogram.ts';
import type { ForwardCounts } from './replicas/replicas.ts';
import type { SwarmRegistry } from './swarms/registry.ts';
import type { MetainfoStore } from './torrents/metainfo-store.ts';
import type { TorrentList } from './torrents/torrents.ts';

/** From 50 µs, what an announce takes when nothing is in its way, to the seconds of one that waits. */
const ANNOUNCE_SECONDS = [0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.25, 1, 5];

const ACCEPTED_EVENTS = ['none', 'started', 'completed', 'stopped', 'paused'] as const;

/** What is looked at whenever somebody reads the metrics. */
interface Observed {
  readonly torrents: TorrentList;
  readonly registry: SwarmRegistry;
  readonly metainfo: MetainfoStore;
  readonly forwarded?: ForwardCounts | undefined;
}

export class TrackerMetrics {
  readonly #register = new Registry();
  readonly #announces: Counter<'event' | 'result'>;
  /** Those that went well since the metrics were read last: a look-up by labels would take as long as an announce. */
  readonly #accepted = { none: 0, started: 0, completed: 0, stopped: 0, paused: 0 };
  readonly #announceSeconds: DurationHistogram;
  readonly #scrapes: Counter<'result'>;
  readonly #metainfo: Counter<'result'>;
  readonly #udpDropped: Counter;

  constructor(observed: Observed) {
    const registers = [this.#register];
    collectDefaultMetrics({ register: this.#register });
    const accepted = this.#accepted;
    this.#announces = new Counter({
      name: 'enxame_tracker_announces_total',
      help: 'Announces by event and result; requests that could not be read have the event unknown.',
      labelNames: ['event', 'result'],
      registers,
      collect() {
        for (const event of ACCEPTED_EVENTS) {
          this.inc({ event, result: 'ok' }, accepted[event]);
          accepted[event] = 0;
        }
      },
    });
    this.#announceSeconds = new DurationHistogram({
      name: 'enxame_tracker_announce_duration_seconds',
      help: 'Time from reading an announce to its answer.',
      buckets: ANNOUNCE_SECONDS,
      registers,
    });
    this.#scrapes = new Counter({
      name: 'enxame_tracker_scrapes_total',
      help: 'Scrapes by result.',
      labelNames: ['result'],
      registers,
    });
    this.#udpDropped = new Counter({
      name: 'enxame_tracker_udp_dropped_total',
      help: 'Datagrams that were no request, or had no good connection id.',
      registers,
    });
    this.#metainfo = new Counter({
      name: 'enxame_tracker_metainfo_requests_total',
      help: 'Requests for .torrent files by result.',
      labelNames: ['result'],
      registers,
    });
    this.#observe(observed, registers);
  }

  /** Hot: counts an announce that took `seconds`. */
  announced({ event = 'none', outcome }: Omit<Answer, 'body'>, seconds: number): void {
    if (outcome === 'ok') this.#accepted[event] += 1;
    else this.#announces.inc({ event: 'unknown', result: outcome });
    this.#announceSeconds.note(seconds);
  }

  scraped({ outcome }: Pick<Answer, 'outcome'>): void {
    this.#scrapes.inc({ result: outcome });
  }

  /** Counts a datagram that is no request, or has no good connection id. */
  udpDropped(): void {
    this.#udpDropped.inc();
  }

  metainfoServed(result: 'found' | 'unchanged' | 'missing' | 'unknown'): void {
    this.#metainfo.inc({ result });
  }

  /** The text that Prometheus reads, and its content type. */
  async text(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.#register.contentType, body: await this.#register.metrics() };
  }

  #observe({ torrents, registry, metainfo, forwarded }: Observed, registers: Registry[]): void {
    new Gauge({
      name: 'enxame_tracker_torrents',
      help: 'Torrents on the list of those that are served.',
      registers,
      collect() {
        this.set([...torrents.list()].length);
      },
    });
    new Gauge({
      name: 'enxame_tracker_swarms',
      help: 'Swarms that are known.',
      registers,
      collect() {
        this.set(registry.swarmCount);
      },
    });
    new Gauge({
      name: 'enxame_tracker_peers',
      help: 'Peers by role.',
      labelNames: ['role'],
      registers,
      collect() {
        this.set({ role: 'seeder' }, registry.seedCount);
        this.set({ role: 'leecher' }, registry.leecherCount);
      },
    });
    new Gauge({
      name: 'enxame_tracker_registry_bytes',
      help: 'Memory that peers take.',
      registers,
      collect() {
        this.set(registry.bytes);
      },
    });
    new Gauge({
      name: 'enxame_tracker_metainfo_cache_bytes',
      help: 'Size of the .torrent files kept in memory.',
      registers,
      collect() {
        this.set(metainfo.cachedBytes);
      },
    });
    if (forwarded !== undefined)
      new Counter({
        name: 'enxame_tracker_forwarded_total',
        help: 'Announces that were handed on to the owner of their torrent, by what came of it.',
        labelNames: ['result'],
        registers,
        collect() {
          this.reset();
          this.inc({ result: 'answered' }, forwarded.answered);
          this.inc({ result: 'failed' }, forwarded.failed);
        },
      });
    new Counter({
      name: 'enxame_tracker_evictions_total',
      help: 'What was forgotten: peers that did not come back, peers and swarms that made room for others, and peers that were refused because their host has too many.',
      labelNames: ['what'],
      registers,
      collect() {
        this.reset();
        this.inc({ what: 'expired' }, registry.evictions.expired);
        this.inc({ what: 'peer' }, registry.evictions.peers);
        this.inc({ what: 'swarm' }, registry.evictions.swarms);
        this.inc({ what: 'refused' }, registry.evictions.refused);
      },
    });
  }
}
