import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PeerIndex } from '../../../tracker/swarms/peer-index.ts';
import { NOBODY, PeerTable } from '../../../tracker/swarms/peer-table.ts';
import { Swarm } from '../../../tracker/swarms/swarm.ts';

test('finds whoever is in it and nobody else, whatever comes and goes', () => {
  const step = fc.record({ swarm: fc.nat(1), host: fc.nat(120), isIpv6: fc.boolean(), isAdd: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new PeerTable(1000);
      const index = new PeerIndex(table);
      const swarms = [0, 1].map((number) => new Swarm('aa'.repeat(20), number, table));
      const groups = swarms.map((swarm) => swarm.addGroup(0));
      const model = new Map<string, number>();
      for (const { swarm, host, isIpv6, isAdd } of steps) {
        // The first six bytes are the same in both families: their lengths tell them apart.
        const compact = Buffer.alloc(isIpv6 ? 18 : 6);
        compact[3] = host;
        const key = `${swarm} ${compact.toString('hex')}`;
        const found = index.find(swarm, compact);
        expect(found).toBe(model.get(key) ?? NOBODY);
        if (isAdd && found === NOBODY) {
          const peer = table.take();
          table.flags[peer] = 0;
          table.setAddress(peer, compact);
          table.group[peer] = groups[swarm];
          index.add(peer);
          model.set(key, peer);
        } else if (!isAdd && found !== NOBODY) {
          index.remove(found);
          table.release(found);
          model.delete(key);
        }
        expect(table.size).toBe(model.size);
      }
    }),
  );
});
