import { expect, test } from '@jest/globals';
import { agentMetrics } from '../../../agent/http/metrics.ts';
import type { RevisionEngine } from '../../../agent/revisions/engine.ts';
import { NO_TOTALS } from '../../../agent/revisions/transfer.ts';
import type { Space } from '../../../agent/space/space.ts';
import { MemoryLedger } from '../../../torrent/index.ts';

const MIB = 1024 * 1024;

test('memory for transfers is told by purpose, with how often it was short', async () => {
  const ledger = new MemoryLedger(256 * MIB);
  ledger.pieces.open().charge(3 * MIB);
  const engine = { transfers: [], totals: () => ({ ...NO_TOTALS, memoryWaits: 7 }) };
  const space = {
    figures: async () => ({ capacityBytes: 1, usedBytes: 1, reservedBytes: 1, availableBytes: 1 }),
  };
  const text = await agentMetrics(
    engine as unknown as RevisionEngine,
    space as unknown as Space,
    ledger,
  ).metrics();
  expect(text).toContain(`enxame_agent_transfer_memory_bytes{purpose="pieces",kind="used"} ${3 * MIB}\n`);
  expect(text).toContain(`enxame_agent_transfer_memory_bytes{purpose="pieces",kind="limit"} ${128 * MIB}\n`);
  for (const purpose of ['staging', 'reads', 'unsent', 'metadata'])
    expect(text).toContain(`enxame_agent_transfer_memory_bytes{purpose="${purpose}",kind="used"} 0\n`);
  expect(text).toContain('enxame_agent_memory_waits_total 7\n');
});
