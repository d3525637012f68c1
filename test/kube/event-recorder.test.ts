import { describe, expect, test } from '@jest/globals';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { EventRecorder } from '../../kube/event-recorder.ts';
import { FakeClock } from '../base/fake-clock.ts';
import { recordingLogger } from './logs.ts';

interface Sent {
  note: string;
  reason: string;
  metadata: { namespace: string };
}

function setUp() {
  const clock = new FakeClock();
  const logger = recordingLogger();
  const created: Sent[] = [];
  const patched: { series: { count: number } }[] = [];
  const failures: Error[] = [];
  const orFail = () => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
  };
  const resource = {
    create: async (event: Sent) => {
      orFail();
      created.push(event);
    },
    mergePatch: async (_: object, patch: { series: { count: number } }) => {
      orFail();
      patched.push(patch);
    },
  };
  const client = { resource: () => resource } as unknown as KubeClient;
  const recorder = new EventRecorder({ client, component: 'c', instance: 'i', logger, clock });
  return { clock, logger, created, patched, failures, recorder };
}

const subject = { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'n', uid: 'u' };

describe('EventRecorder', () => {
  test('counts up what is the same again, and tells anew after some minutes', async () => {
    const { clock, created, patched, recorder } = setUp();
    for (let n = 0; n < 3; n += 1) recorder.event(subject, 'Warning', 'Broken', 'it broke');
    recorder.event(subject, 'Warning', 'Broken', 'it broke elsewhere');
    await recorder.flush();
    expect(created.map(({ note }) => note)).toEqual(['it broke', 'it broke elsewhere']);
    expect(patched.map(({ series }) => series.count)).toEqual([2, 3]);
    await clock.advance(7 * 60_000);
    recorder.event(subject, 'Warning', 'Broken', 'it broke');
    await recorder.flush();
    expect(created).toHaveLength(3);
  });

  test('makes a new Event where the one to count up is gone', async () => {
    const { created, failures, recorder } = setUp();
    recorder.event(subject, 'Normal', 'Done', 'done');
    await recorder.flush();
    failures.push(new KubeError(404, 'NotFound', 'expired'));
    recorder.event(subject, 'Normal', 'Done', 'done');
    await recorder.flush();
    expect(created).toHaveLength(2);
  });

  test('never fails, and never tells more about one object than people read', async () => {
    const { clock, logger, created, failures, recorder } = setUp();
    failures.push(new KubeError(0, 'Unreachable', 'away'));
    for (let n = 0; n < 100; n += 1) recorder.event(subject, 'Warning', 'Broken', `it broke ${n}`);
    await recorder.flush();
    expect(created).toHaveLength(24);
    expect(logger.lines).toEqual([{ level: 'warn', message: 'an event could not be written' }]);
    await clock.advance(61_000);
    recorder.event(subject, 'Warning', 'Broken', 'still broken');
    recorder.event({ ...subject, uid: 'another' }, 'Warning', 'Broken', 'another');
    await recorder.flush();
    expect(created.slice(24).map(({ note }) => note)).toEqual(['still broken', 'another']);
  });

  test('makes no fuss of a namespace that ends', async () => {
    const { logger, failures, recorder } = setUp();
    failures.push(new KubeError(403, 'Forbidden', 'n ends', { causes: ['NamespaceTerminating'] }));
    recorder.event(subject, 'Normal', 'Done', 'done');
    await recorder.flush();
    expect(logger.lines.map(({ level }) => level)).toEqual(['debug']);
  });

  test('keeps within the bounds of the API, and puts events about nodes into default', async () => {
    const { created, recorder } = setUp();
    const node = { apiVersion: 'v1', kind: 'Node', name: 'n1' };
    recorder.event(node, 'Normal', 'R'.repeat(500), 'm'.repeat(5000));
    await recorder.flush();
    expect(created[0]!.metadata.namespace).toBe('default');
    expect(created[0]!.reason).toHaveLength(128);
    expect(created[0]!.note.length).toBeLessThanOrEqual(1024);
  });
});
