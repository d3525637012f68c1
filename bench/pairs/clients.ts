/** Our client and aria2 with the same partners, in both roles: whoever meets others' clients should not be slow. */
import type { Bench } from '../bench.ts';
import { ARIA2 } from '../clients/aria2.ts';
import { LIBTORRENT } from '../clients/libtorrent.ts';
import { TRANSMISSION } from '../clients/transmission.ts';
import { contestPairs, type PairMeasure } from './pair-contest.ts';

const MIB = 2 ** 20;
const MOST_TIMES_ARIA2 = 2;

export const CLIENTS: Bench = {
  name: 'clients',
  about: "time with each other client as seed and as leecher, beside aria2's with the same one (24 MiB)",
  run(options) {
    const size = options.size ?? 24 * MIB;
    const works = [LIBTORRENT, ARIA2, TRANSMISSION].flatMap((partner) =>
      (['seed', 'leech'] as const).map((partnerRole) => ({
        work: `${size / MIB} MiB ${partnerRole === 'seed' ? 'from' : 'to'} ${partner.name}`,
        partner,
        partnerRole,
      })),
    );
    const measure: PairMeasure = {
      number: '–',
      unit: 's',
      value: ({ seconds }) => seconds,
      target: `≤ ${MOST_TIMES_ARIA2} × aria2`,
      isReached: (ours, aria2) => ours <= MOST_TIMES_ARIA2 * aria2,
    };
    return contestPairs(size, works, measure, options);
  },
};
