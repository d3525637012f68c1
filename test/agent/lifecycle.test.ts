// What happens to content on a node after it came: other revisions, suspension, deletion, damage, no room.
import { randomBytes } from 'node:crypto';
import { chmod, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { ContentRevision } from '../../api/index.ts';
import { until } from '../base/until.ts';
import { PATIENCE } from '../patience.ts';
import { FakeCluster, OTHER_UID, UID } from './fake-cluster.ts';
import { logsOfTestAgents, looked } from './harness.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.close());

/** Deletion after moments instead of seconds and hours. */
const QUICK = { deletion: { afterEvent: 50, afterList: 3_600_000 } };

const publishOne = (
  text: string,
  spec: Partial<ContentRevision['spec']> = {},
  attempt = 1,
): Promise<ContentRevision> =>
  world.distribute('a', [{ path: 'file', bytes: Buffer.from(text) }], {
    reservation: { attempt, sourceState: attempt.toString(16).padStart(16, '0') },
    spec,
  });

const shown = async (name: string, path = 'by-name/ml/model/current/file') => {
  try {
    return await readFile(join(world.agent(name).root, path), 'utf8');
  } catch {
    return undefined;
  }
};

describe('activation', () => {
  test('follows the highest epoch, back as well as on', async () => {
    world = await World.open(['a', 'b']);
    const first = await publishOne('first', { activation: { epoch: 1 } });
    await world.untilStatus(['a', 'b'], first, { active: true });
    const second = await publishOne('second', { activation: { epoch: 0 }, sequence: 2 }, 2);
    await world.untilStatus(['a', 'b'], second, { phase: 'Held', active: false });
    expect(await shown('b')).toBe('first');

    const raised = world.change(second, { activation: { epoch: 2 } });
    await world.untilStatus(['a', 'b'], raised, { active: true });
    await world.untilStatus(['a', 'b'], first, { phase: 'Held', active: false });
    expect(await shown('b')).toBe('second');
    expect(await readlink(join(world.agent('b').root, 'content', UID, 'current'))).toBe(second.spec.revision);

    world.change(first, { activation: { epoch: 3 } });
    await world.untilStatus(['a', 'b'], first, { active: true });
    expect(await shown('b')).toBe('first');
  });

  test('waits while it is suspended, and transfers do', async () => {
    world = await World.open(['a', 'b']);
    const first = await publishOne('first', { paused: true });
    await world.untilStatus(['b'], first, { phase: 'Pending', reason: 'Paused' });
    await world.untilStatus(['a'], first, { phase: 'Held', active: false });
    expect(await shown('a')).toBeUndefined();
    world.change(first, { paused: false });
    await world.untilStatus(['a', 'b'], first, { phase: 'Held', active: true });
  });

  test('never goes back only because the newer object was the first to be deleted', async () => {
    world = await World.open(['a'], { deletion: { afterEvent: 400 } });
    const first = await publishOne('first');
    const second = await publishOne('second', { activation: { epoch: 2 }, sequence: 2 }, 2);
    await world.untilStatus(['a'], second, { active: true });
    world.delete(second);
    const { agent } = world.agent('a');
    await looked(world.agent('a'));
    expect(await shown('a')).toBe('second');
    // Once the API server has confirmed it, the older one is what there is.
    await until(logsOfTestAgents, async () => (await shown('a')) === 'first');
    await until(logsOfTestAgents, () => !agent.root.isHeld(UID, second.spec.revision));
    await world.untilStatus(['a'], first, { active: true });
  });

  test('and fetching wait until the objects have been listed whole; what is held is seeded', async () => {
    world = await World.open(['a', 'b']);
    const first = await publishOne('first');
    const second = await publishOne('second', { activation: { epoch: 2 }, sequence: 2 }, 2);
    await world.untilStatus(['a'], second, { active: true });
    const { agent, cluster, root } = world.agent('a');
    await agent.close();
    cluster.revisionsSynced = false;
    world.objects = [first];
    const again = await world.start('a', { cluster, root });
    const young = new FakeCluster('c');
    young.revisionsSynced = false;
    const fresh = await world.start('c', { cluster: young });
    await looked(again);
    await looked(fresh);
    expect(await shown('a')).toBe('second');
    await until(
      'both transfers are under way',
      () => [...again.agent.engine.transfers].filter((each) => each.progress() !== undefined).length === 2,
    );
    // Of a part of the objects, an old revision is the newest.
    expect([...fresh.agent.engine.transfers]).toEqual([]);
    cluster.revisionsSynced = true;
    young.revisionsSynced = true;
    world.see([first, second]);
    await world.untilStatus(['a', 'c'], second, { active: true });
    expect(fresh.agent.root.isHeld(UID, first.spec.revision)).toBe(false);
  });
});

describe('retention', () => {
  test('an old revision stays while its object does, and goes 10 s after it, the active one untouched', async () => {
    world = await World.open(['a', 'b'], QUICK);
    const first = await publishOne('first');
    await world.untilStatus(['b'], first, { active: true });
    const second = await publishOne('second', { activation: { epoch: 2 }, sequence: 2 }, 2);
    await world.untilStatus(['a', 'b'], second, { active: true });
    const old = join('content', UID, first.spec.revision, 'file');
    expect(await shown('b', old)).toBe('first');
    world.delete(first);
    await until(logsOfTestAgents, async () => (await shown('b', old)) === undefined);
    expect(await shown('b')).toBe('second');
    await until('the status does not show the first revision', () => world.status('b', first) === undefined);
    expect(await readdir(join(world.agent('b').root, 'state', 'content', UID))).toEqual(
      expect.arrayContaining(['content.json', `${second.spec.revision}.torrent`]),
    );
  });

  test('one that a Pod sees stays until that Pod is gone, also over a restart', async () => {
    world = await World.open(['a'], QUICK);
    const first = await publishOne('first');
    await world.untilStatus(['a'], first, { active: true });
    const { cluster, agent, root } = world.agent('a');
    cluster.podObjects = [
      {
        metadata: { uid: 'pod', namespace: 'ml', name: 'reader', creationTimestamp: new Date() },
        spec: { containers: [], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'weights' } }] },
        status: {
          phase: 'Running',
          containerStatuses: [
            {
              name: 'c',
              ready: true,
              restartCount: 0,
              image: '',
              imageID: '',
              state: { running: { startedAt: new Date() } },
            },
          ],
        },
      },
    ];
    cluster.claimed = [{ namespace: 'ml', claim: 'weights', uid: UID }];
    agent.clusterChanged();
    await until('the pin is written down', async () =>
      (await readFile(join(root, 'state', 'pins.json'), 'utf8').catch(() => '')).includes('reader'),
    );
    const second = await publishOne('second', { activation: { epoch: 2 }, sequence: 2 }, 2);
    await world.untilStatus(['a'], second, { active: true });
    world.delete(first);
    await agent.close();
    // The PV went meanwhile: only what was remembered says what the Pod sees.
    cluster.claimed = [];
    const again = await world.start('a', { cluster, root, ...QUICK });
    again.agent.revisionGone(first, false);
    const old = join('content', UID, first.spec.revision, 'file');
    await until(logsOfTestAgents, () => cluster.confirmed > 0);
    await looked(again);
    expect(await shown('a', old)).toBe('first');
    cluster.podObjects = [];
    again.agent.clusterChanged();
    await until(logsOfTestAgents, async () => (await shown('a', old)) === undefined);
  });
});

describe('a distribution that was deleted', () => {
  test('leaves nothing behind', async () => {
    world = await World.open(['a', 'b'], QUICK);
    const object = await publishOne('text');
    await world.untilStatus(['a', 'b'], object, { active: true });
    world.delete(object);
    for (const name of ['a', 'b']) {
      const { agent, root } = world.agent(name);
      await until(logsOfTestAgents, () => agent.root.uids().length === 0);
      await looked(world.agent(name));
      for (const folder of ['content', 'by-name/ml', 'staging/download', 'staging/trash', 'state/content'])
        expect(await readdir(join(root, folder)).catch((): string[] => [])).toEqual([]);
      expect([...agent.engine.transfers]).toEqual([]);
      await until('the status does not show the revision', () => world.status(name, object) === undefined);
    }
  });

  test('in mid-download leaves nothing behind either', async () => {
    world = await World.open(['a', 'b'], QUICK);
    const object = await world.distribute('a', [{ path: 'file', bytes: randomBytes(2_000_000) }], {
      spec: { limits: { download: '200k' } },
    });
    await world.untilStatus(['b'], object, { phase: 'Downloading' });
    const { agent, root } = world.agent('b');
    await until('something is on the disk', () => agent.engine.usedBytes > 0);
    world.delete(object);
    await until(logsOfTestAgents, () => agent.root.uids().length === 0);
    await looked(world.agent('b'));
    expect(await readdir(join(root, 'staging', 'download'))).toEqual([]);
    expect(agent.engine.usedBytes).toBe(0);
  });

  test('and made anew under its name never shows the old files', async () => {
    // Files would stay for ten seconds, and for an hour where the agent was away: the name must not.
    world = await World.open(['a', 'b'], { deletion: { afterEvent: 3_600_000 } });
    const old = await publishOne('old');
    await world.untilStatus(['a', 'b'], old, { active: true });
    const away = world.agent('b');
    await away.agent.close();
    world.agents.delete('b');

    world.delete(old);
    await until(logsOfTestAgents, async () => (await shown('a')) === undefined);
    expect(await shown('a', join('content', UID, old.spec.revision, 'file'))).toBe('old');
    const fresh = await world.distribute('a', [{ path: 'file', bytes: Buffer.from('new') }], {
      reservation: { uid: OTHER_UID },
      metadata: { creationTimestamp: '2026-01-02T00:00:00Z' },
    });
    await world.untilStatus(['a'], fresh, { active: true });
    expect(await shown('a')).toBe('new');

    // Back again, it has missed everything; no object of the new one is there for it yet.
    world.objects = [];
    const { cluster, root } = away;
    const back = await world.start('b', { cluster, root });
    // A list that lacks everything is too odd to act on.
    await until(logsOfTestAgents, () => back.agent.engine.deletionHold !== undefined);
    world.see([fresh]);
    await until(logsOfTestAgents, async () => (await shown('b')) !== 'old');
    expect([undefined, 'new']).toContain(await shown('b'));
    await world.untilStatus(['b'], fresh, { active: true });
    expect(await shown('b')).toBe('new');
    expect(await shown('b', join('content', UID, old.spec.revision, 'file'))).toBe('old');
  });

  test.each(['unavailable', 'there', 'kindGone'] as const)(
    'stays while the API server says %s',
    async (answer) => {
      world = await World.open(['a'], QUICK);
      const object = await publishOne('text');
      await world.untilStatus(['a'], object, { active: true });
      const { cluster } = world.agent('a');
      cluster.confirmation = answer;
      world.delete(object);
      await until(logsOfTestAgents, () => cluster.confirmed >= 2);
      await looked(world.agent('a'));
      expect(await shown('a')).toBe('text');
      // Seen again, it is as if nothing had been.
      world.see([object]);
      await looked(world.agent('a'));
      cluster.confirmation = 'gone';
      await looked(world.agent('a'));
      expect(await shown('a')).toBe('text');
      expect(world.status('a', object)).toMatchObject({ phase: 'Held', active: true });
    },
  );

  test('by a list that is empty stays, and the node says so', async () => {
    world = await World.open(['a'], QUICK);
    const object = await publishOne('text');
    await world.untilStatus(['a'], object, { active: true });
    const { agent, cluster } = world.agent('a');
    world.see([]);
    agent.revisionGone(object, true);
    await until(
      logsOfTestAgents,
      () =>
        cluster.status?.conditions?.some(
          ({ type, status }) => type === 'DeletionHeld' && status === 'True',
        ) === true,
    );
    expect(await shown('a')).toBe('text');
    expect(cluster.confirmed).toBe(0);
  });
});

describe('a transfer', () => {
  test('is refused with the numbers where room lacks, and goes on when there is room', async () => {
    world = await World.open(['a', 'b']);
    const { agent, cluster } = world.agent('b');
    const capacity = (text: string) => {
      cluster.content = { ...cluster.content!, spec: { storage: { capacity: text } } };
      agent.clusterChanged();
    };
    capacity('1Mi');
    const object = await world.distribute('a', [{ path: 'file', bytes: randomBytes(3 * 1024 ** 2) }]);
    await world.untilStatus(['b'], object, {
      phase: 'Failed',
      reason: 'StorageLow',
      message: 'needs 3.0 MiB, 1.0 MiB free',
    });
    expect(agent.engine.usedBytes).toBe(0);
    const begin = performance.now();
    capacity('4Mi');
    await world.untilStatus(['b'], object, { phase: 'Held', active: true });
    // By itself it would look again after half a minute.
    expect(performance.now() - begin).toBeLessThan(PATIENCE * 2000);
  });

  test('takes the room of an old revision that nobody uses, and of no other', async () => {
    world = await World.open(['a', 'b']);
    const bytes = () => ({ path: 'file', bytes: randomBytes(1024 ** 2) });
    const { agent, cluster } = world.agent('b');
    cluster.content = { ...cluster.content!, spec: { storage: { capacity: '2560Ki' } } };
    const revisions: ContentRevision[] = [];
    for (const sequence of [1, 2, 3]) {
      const object = await world.distribute('a', [bytes()], {
        reservation: { attempt: sequence, sourceState: String(sequence).padStart(16, '0') },
        spec: { sequence, activation: { epoch: sequence } },
      });
      await world.untilStatus(['b'], object, { phase: 'Held', active: true });
      revisions.push(object);
    }
    const held = revisions.map(({ spec }) => agent.root.isHeld(UID, spec.revision));
    expect(held).toEqual([false, true, true]);
  });

  test('takes another policy without a restart', async () => {
    world = await World.open(['a', 'b']);
    const object = await world.distribute('a', [{ path: 'file', bytes: randomBytes(1_500_000) }], {
      spec: { limits: { download: '500k' }, swarm: { policy: 'Cluster' } },
    });
    await world.untilStatus(['b'], object, { phase: 'Downloading' });
    const policies = (name: string) =>
      [...world.agent(name).agent.engine.transfers].map(({ policy }) => policy);
    expect([policies('a'), policies('b')]).toEqual([['cluster'], ['cluster']]);
    const [before] = world.agent('b').agent.engine.transfers;
    world.change(object, { limits: {}, swarm: { policy: 'Classic' } });
    // The swarm was left and joined anew.
    await until('the policy is the classic one', () => policies('b')[0] === 'classic');
    expect([...world.agent('b').agent.engine.transfers]).not.toContain(before);
    await world.untilStatus(['a', 'b'], object, { phase: 'Held', active: true });
    expect(policies('a')).toEqual(['classic']);
  });

  test('keeps within the limits of its revision and of its node', async () => {
    world = await World.open(['a', 'b', 'c']);
    const { agent, cluster } = world.agent('c');
    cluster.content = { ...cluster.content!, spec: { limits: { download: '300k' } } };
    agent.clusterChanged();
    const object = await world.distribute('a', [{ path: 'file', bytes: randomBytes(900_000) }], {
      spec: { limits: { download: '600k' } },
    });
    const begin = performance.now();
    await world.untilStatus(['b'], object, { phase: 'Held' });
    expect(performance.now() - begin).toBeGreaterThan(700);
    await world.untilStatus(['c'], object, { phase: 'Held' });
    expect(performance.now() - begin).toBeGreaterThan(1500);
  });

  test('fetches again what a disk damaged, and shows nothing meanwhile', async () => {
    world = await World.open(['a', 'b']);
    const bytes = randomBytes(400_000);
    const object = await world.distribute('a', [{ path: 'file', bytes }]);
    await world.untilStatus(['b'], object, { active: true });
    const { agent, cluster, root } = world.agent('b');
    await agent.close();
    const file = join(root, 'content', UID, object.spec.revision, 'file');
    await chmod(file, 0o644);
    await writeFile(file, Buffer.concat([bytes.subarray(0, 100_000), Buffer.alloc(300_000)]));
    const again = await world.start('b', { cluster, root });
    await until(logsOfTestAgents, () => again.agent.engine.totals().downloadedBytes > 0);
    await world.untilStatus(['b'], object, { phase: 'Held', active: true });
    expect((await readFile(file)).equals(bytes)).toBe(true);
    expect(again.agent.engine.totals().downloadedBytes).toBeLessThan(400_000);
  });
});
