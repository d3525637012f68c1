// An announcer that serves any torrent, on a registry and a clock of its own, for the tests.
import { Announcer } from '../../tracker/announce/announcer.ts';
import { nodeTimer, WaitingRoom } from '../../tracker/announce/waiting-room.ts';
import type { Rights } from '../../tracker/rights/rights.ts';
import { type RegistryLimits, SwarmRegistry } from '../../tracker/swarms/registry.ts';
import { OPEN_LIST } from '../../tracker/torrents/torrents.ts';

/** Makes one; its clock stands at 0 until the test moves it. */
export function openAnnouncer(
  random: () => number,
  { limits, rights }: { limits?: Partial<RegistryLimits>; rights?: Rights | undefined } = {},
) {
  const registry = new SwarmRegistry({ now: 0, random, limits });
  const clock = { now: 0 };
  const announcer = new Announcer({
    torrents: OPEN_LIST,
    registry,
    arrivals: new WaitingRoom({ maxWaiting: 1, startTimer: nodeTimer }),
    arrivalWaitMilliseconds: 0,
    random,
    now: () => clock.now,
    ...(rights && { rights }),
  });
  return { announcer, registry, clock };
}
