// When content whose objects are gone may be removed.
import { describe, expect, test } from '@jest/globals';
import { DELETION_SETTINGS, DeletionLedger, type PresentRevision } from '../../../agent/deletion/ledger.ts';

const REVISION = '000000000001';
const NOW = Date.parse('2026-01-01T00:00:00Z');
const HOUR = 3_600_000;
const uid = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
const disk = (count: number, retained = false): PresentRevision[] =>
  Array.from({ length: count }, (_, index) => ({ uid: uid(index), revision: REVISION, retained }));
const dueUids = (ledger: DeletionLedger, now: number, present: PresentRevision[], annotation?: string) =>
  ledger.judge(now, present, annotation).due.map((absence) => absence.uid);

describe('one distribution of many', () => {
  test('is due 10 s after a DELETED event', () => {
    const ledger = new DeletionLedger();
    ledger.deleted(uid(0), REVISION, NOW);
    expect(ledger.judge(NOW + 9_999, disk(5), undefined)).toEqual({
      due: [],
      hold: undefined,
      nextAt: NOW + 10_000,
    });
    expect(dueUids(ledger, NOW + 10_000, disk(5))).toEqual([uid(0)]);
  });

  test('is due an hour after a list lacked it', () => {
    const ledger = new DeletionLedger();
    ledger.missing(uid(0), REVISION, NOW);
    expect(dueUids(ledger, NOW + HOUR - 1, disk(5))).toEqual([]);
    expect(dueUids(ledger, NOW + HOUR, disk(5))).toEqual([uid(0)]);
  });

  test('is not due once it is seen again', () => {
    const ledger = new DeletionLedger();
    ledger.deleted(uid(0), REVISION, NOW);
    ledger.present(uid(0), REVISION);
    expect(dueUids(ledger, NOW + HOUR, disk(5))).toEqual([]);
  });

  test('begins anew when there is doubt', () => {
    const ledger = new DeletionLedger();
    ledger.deleted(uid(0), REVISION, NOW);
    ledger.doubt(uid(0), REVISION, NOW + 10_000);
    expect(dueUids(ledger, NOW + 10_000 + HOUR - 1, disk(5))).toEqual([]);
    expect(dueUids(ledger, NOW + 10_000 + HOUR, disk(5))).toEqual([uid(0)]);
  });

  test('a list that lacks it later does not put off what an event has begun, nor the reverse', () => {
    const ledger = new DeletionLedger();
    ledger.deleted(uid(0), REVISION, NOW);
    ledger.missing(uid(0), REVISION, NOW + 5000);
    ledger.deleted(uid(0), REVISION, NOW + 6000);
    expect(dueUids(ledger, NOW + 10_000, disk(5))).toEqual([uid(0)]);
  });
});

describe('more than half of a node’s content', () => {
  test('that a list lacks is held, with the numbers, until a person confirms', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 3; index++) ledger.missing(uid(index), REVISION, NOW);
    const held = ledger.judge(NOW + 2 * HOUR, disk(5), 'before');
    expect(held.due).toEqual([]);
    expect(held.hold?.message).toBe('3 of 5 contents of this node are missing from the API');
    // The annotation that was there already confirms nothing.
    expect(dueUids(ledger, NOW + 3 * HOUR, disk(5), 'before')).toEqual([]);
    expect(dueUids(ledger, NOW + 3 * HOUR, disk(5), 'after')).toHaveLength(3);
  });

  test('goes after a day', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 3; index++) ledger.missing(uid(index), REVISION, NOW);
    ledger.judge(NOW, disk(5), undefined);
    expect(dueUids(ledger, NOW + 24 * HOUR - 1, disk(5))).toEqual([]);
    const { due, hold } = ledger.judge(NOW + 24 * HOUR, disk(5), undefined);
    expect(due).toHaveLength(3);
    expect(hold).toBeUndefined();
    expect(due.every(({ cleared }) => cleared)).toBe(true);
  });

  test('that is all there again is not held any more', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 3; index++) ledger.missing(uid(index), REVISION, NOW);
    expect(ledger.judge(NOW, disk(5), undefined).hold).toBeDefined();
    for (let index = 0; index < 3; index++) ledger.present(uid(index), REVISION);
    expect(ledger.judge(NOW + 1, disk(5), undefined).hold).toBeUndefined();
  });

  test('that was seen to be deleted is not held, however much it is at once', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 5; index++) ledger.deleted(uid(index), REVISION, NOW);
    const { due, hold } = ledger.judge(NOW + 10_000, disk(5), undefined);
    expect(due).toHaveLength(5);
    expect(hold).toBeUndefined();
  });

  test('that a list lacks does not hold what was seen to be deleted beside it', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 3; index++) ledger.missing(uid(index), REVISION, NOW);
    ledger.deleted(uid(4), REVISION, NOW);
    const { due, hold } = ledger.judge(NOW + HOUR, disk(5), undefined);
    expect(hold).toBeDefined();
    expect(due.map((absence) => absence.uid)).toEqual([uid(4)]);
  });

  test('does not hold an old revision of a distribution that is there', () => {
    const ledger = new DeletionLedger();
    const old = { uid: uid(9), revision: '000000000009', retained: false };
    const there = [...disk(5), old, { ...old, revision: '00000000000a' }];
    for (let index = 0; index < 4; index++) ledger.missing(uid(index), REVISION, NOW);
    ledger.deleted(old.uid, old.revision, NOW);
    const { due, hold } = ledger.judge(NOW + 10_000, there, undefined);
    expect(hold).toBeDefined();
    expect(due.map(({ revision }) => revision)).toEqual([old.revision]);
  });

  test('does not count what is to be retained', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 5; index++) ledger.missing(uid(index), REVISION, NOW);
    expect(ledger.judge(NOW, disk(5, true), undefined).hold).toBeUndefined();
  });
});

describe('a restart', () => {
  const restarted = (ledger: DeletionLedger) => {
    const next = new DeletionLedger(DELETION_SETTINGS);
    next.restore(Buffer.from(JSON.stringify(ledger)));
    return next;
  };

  test('forgets neither since when something is gone nor that deletion is held', () => {
    const ledger = new DeletionLedger();
    for (let index = 0; index < 3; index++) ledger.missing(uid(index), REVISION, NOW);
    ledger.judge(NOW, disk(5), 'before');
    const next = restarted(ledger);
    next.missing(uid(0), REVISION, NOW + HOUR);
    expect(next.judge(NOW + HOUR, disk(5), 'before').hold?.since).toBe(NOW);
    expect(dueUids(next, NOW + HOUR, disk(5), 'after')).toHaveLength(3);
  });

  test.each([
    '',
    '{"absences":',
    'null',
    '[]',
    '{"absences":[null,1,{"uid":1}]}',
    '{"absences":{},"hold":[]}',
  ])('takes %p for nothing', (text) => {
    const ledger = new DeletionLedger();
    ledger.restore(Buffer.from(text));
    expect(ledger.judge(NOW, disk(1), undefined)).toEqual({ due: [], hold: undefined, nextAt: undefined });
  });
});
