// The agent's metrics: totals of the node; per-distribution series come from the operator alone.
import { Counter, Gauge, Registry } from 'prom-client';
import { MEMORY_PURPOSES, type MemoryLedger } from '../../torrent/index.ts';
import type { RevisionEngine } from '../revisions/engine.ts';
import type { Space } from '../space/space.ts';

/** Metrics of one agent, collected when they are asked for. */
export function agentMetrics(engine: RevisionEngine, space: Space, memory: MemoryLedger): Registry {
  const registry = new Registry();
  const registers = [registry];
  const phases = ['Pending', 'Downloading', 'Held', 'Failed'] as const;
  new Gauge({
    name: 'enxame_agent_revisions',
    help: 'Revisions on this node, by how far they are.',
    labelNames: ['phase'],
    registers,
    collect() {
      const counts = new Map<string, number>(phases.map((phase) => [phase, 0]));
      for (const { state } of engine.transfers) counts.set(state.phase, (counts.get(state.phase) ?? 0) + 1);
      for (const [phase, count] of counts) this.set({ phase }, count);
    },
  });
  new Gauge({
    name: 'enxame_agent_peers',
    help: 'Connected peers, over all swarms.',
    registers,
    collect() {
      let peers = 0;
      for (const transfer of engine.transfers) peers += transfer.progress()?.peers ?? 0;
      this.set(peers);
    },
  });
  new Gauge({
    name: 'enxame_agent_left_bytes',
    help: 'Bytes that running downloads still need.',
    registers,
    collect() {
      let bytes = 0;
      for (const transfer of engine.transfers) bytes += transfer.progress()?.bytesLeft ?? 0;
      this.set(bytes);
    },
  });
  const counted = (name: string, help: string, value: () => number) => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  };
  counted(
    'enxame_agent_downloaded_bytes_total',
    'Payload received from peers.',
    () => engine.totals().downloadedBytes,
  );
  counted('enxame_agent_uploaded_bytes_total', 'Payload sent to peers.', () => engine.totals().uploadedBytes);
  counted(
    'enxame_agent_wasted_bytes_total',
    'Payload received that was of no use: duplicates, and pieces that failed their hash.',
    () => engine.totals().wastedBytes,
  );
  counted(
    'enxame_agent_memory_waits_total',
    'Times that a peer was asked for less than its path holds, because memory for transfers was short.',
    () => engine.totals().memoryWaits,
  );
  new Gauge({
    name: 'enxame_agent_transfer_memory_bytes',
    help: 'Memory for what is on its way, by purpose, and what each may have at most.',
    labelNames: ['purpose', 'kind'],
    registers,
    collect() {
      for (const purpose of MEMORY_PURPOSES) {
        this.set({ purpose, kind: 'used' }, memory[purpose].usedBytes);
        this.set({ purpose, kind: 'limit' }, memory[purpose].limitBytes);
      }
    },
  });
  new Gauge({
    name: 'enxame_agent_storage_bytes',
    help: 'Room on the disk: what content may use in all, uses, will still need, and may newly use.',
    labelNames: ['kind'],
    registers,
    async collect() {
      const { capacityBytes, usedBytes, reservedBytes, availableBytes } = await space.figures();
      this.set({ kind: 'capacity' }, capacityBytes);
      this.set({ kind: 'used' }, usedBytes);
      this.set({ kind: 'reserved' }, reservedBytes);
      this.set({ kind: 'available' }, availableBytes);
    },
  });
  new Gauge({
    name: 'enxame_agent_resident_memory_bytes',
    help: 'Resident memory of the agent.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  return registry;
}
