import { expect, test } from '@jest/globals';
import type { NodeContent, Reservation } from '../../../api/index.ts';
import { ReservationWriter } from '../../../operator/publishing/reservations.ts';
import { MemoryApi } from '../simulation/memory-api.ts';

const uidOf = (place: number) => `22222222-2222-4222-8222-${String(place).padStart(12, '0')}`;

function reservation(place: number, attempt = 1): Reservation {
  return {
    ...{ uid: uidOf(place), attempt, sourceState: '0'.repeat(16), distributionName: `d-${place}` },
    ...{ podNamespace: 'ml', podName: `pod-${place}-${attempt}` },
  };
}

/** A node with these reservations, and a store whose cache shows what was there at the beginning. */
function open(reservations: readonly Reservation[]) {
  const api = new MemoryApi(() => '2026-11-01T12:00:00Z');
  api.make('NodeContent', { metadata: { name: 'a' }, spec: { publishing: reservations } });
  const seen = api.read<NodeContent>('NodeContent', 'a');
  const written: NodeContent[] = [];
  const writer = new ReservationWriter({
    client: api.client<NodeContent>('NodeContent'),
    cached: (node) => (node === 'a' ? (written.at(-1) ?? seen) : undefined),
    wrote: (content) => written.push(content),
  });
  const present = () => api.read<NodeContent>('NodeContent', 'a')?.spec?.publishing;
  return { api, writer, written, present };
}

test('a reservation takes the place of the distribution’s earlier one, and of no other', async () => {
  const { writer, present } = open([reservation(1), reservation(2)]);
  await writer.reserve('a', reservation(1, 2));
  expect(present()).toEqual([reservation(2), reservation(1, 2)]);
});

test('what somebody wrote in between stays', async () => {
  const { api, writer, written, present } = open([reservation(1)]);
  api.patch('NodeContent', 'a', { spec: { publishing: [reservation(1), reservation(2)] } }, 'main');
  await writer.reserve('a', reservation(3));
  expect(present()).toEqual([reservation(1), reservation(2), reservation(3)]);
  expect(written.at(-1)?.spec?.publishing).toEqual(present());
});

test('a higher attempt is another leader’s, and stays', async () => {
  const { writer, present } = open([reservation(1, 5)]);
  await writer.reserve('a', reservation(1, 4));
  expect(present()).toEqual([reservation(1, 5)]);
  await writer.release('a', uidOf(1), 4);
  expect(present()).toEqual([reservation(1, 5)]);
  await writer.release('a', uidOf(1), 5);
  expect(present()).toEqual([]);
});

test('a node whose last place others took meanwhile is left as it is, and seen to be full', async () => {
  const { api, writer, written, present } = open(
    Array.from({ length: 63 }, (_, place) => reservation(place)),
  );
  const full = Array.from({ length: 64 }, (_, place) => reservation(place));
  api.patch('NodeContent', 'a', { spec: { publishing: full } }, 'main');
  await writer.reserve('a', reservation(99));
  expect(present()).toEqual(full);
  expect(written.at(-1)?.spec?.publishing).toHaveLength(64);
  await writer.reserve('a', reservation(5, 2));
  expect(present()).toContainEqual(reservation(5, 2));
});

test('changes that come while a node is written are one write, and none is lost', async () => {
  const { api, writer, written, present } = open([reservation(0)]);
  const versions = () => api.changes.filter(({ kind }) => kind === 'NodeContent').length;
  const before = versions();
  await Promise.all([
    ...Array.from({ length: 20 }, (_, place) => writer.reserve('a', reservation(place + 1))),
    writer.release('a', uidOf(0)),
    writer.reserve('a', reservation(3, 2)),
  ]);
  expect(
    present()
      ?.map(({ uid, attempt }) => `${uid} ${attempt}`)
      .sort(),
  ).toEqual(
    Array.from({ length: 20 }, (_, place) => `${uidOf(place + 1)} ${place + 1 === 3 ? 2 : 1}`).sort(),
  );
  expect(versions() - before).toBe(2);
  expect(written).toHaveLength(2);
});

test('a write that fails is the failure of those who asked for it, and of no later one', async () => {
  const { api, writer, present } = open([]);
  let calls = 0;
  api.interference = () => {
    calls += 1;
    return calls === 2 ? 'fail-before' : 'none';
  };
  const results = await Promise.allSettled([1, 2, 3].map((place) => writer.reserve('a', reservation(place))));
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  await writer.reserve('a', reservation(4));
  expect(present()).toEqual([reservation(1), reservation(4)]);
});

test('a node that is gone takes none', async () => {
  const { writer } = open([]);
  await expect(writer.reserve('b', reservation(1))).resolves.toBeUndefined();
});
