// What a source does wrong: conditions and events say it, and the old revision stays active.
import { afterAll, expect } from '@jest/globals';
import { type Distribution, fromFiles } from './harness/distribution.ts';
import { disconnect } from './harness/environment.ts';
import { asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { scenario, type World } from './harness/scenario.ts';
import type { Behaviour, Source, SourceFile } from './harness/source.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

/** A distribution whose first revision is active everywhere. */
async function withFirstRevision(
  world: World,
): Promise<{ source: Source; old: SourceFile; distribution: Distribution }> {
  const source = await world.startSource();
  const old = source.file('content.bin', 'good', MEBIBYTE);
  const distribution = world.distribution('failing');
  await distribution.apply(fromFiles([old]));
  await distribution.waitReady();
  return { source, old, distribution };
}

async function expectOldRevision(world: World, distribution: Distribution, old: SourceFile): Promise<void> {
  for (const node of await nodeNames())
    expect(await filesOn(node, world.namespace, distribution.name)).toEqual(asOnNode([old]));
  const [revision] = await distribution.revisions();
  expect((await distribution.get()).status?.revision?.active).toBe(revision?.spec.revision);
}

/** Waits until a condition gives the reason, and checks that an event tells of it too. */
async function expectReason(distribution: Distribution, reason: string, message: RegExp): Promise<void> {
  const condition = await until(
    `Published tells of ${reason}`,
    () => distribution.condition('Published'),
    (published) => published?.status === 'False' && published.reason === reason,
    // A source that is silent is asked twice, for 30 s each.
    150,
  );
  expect(condition?.message).toMatch(message);
  await until(
    'an event tells of it',
    () => distribution.events(),
    (events) => events.includes(reason),
  );
  expect(await distribution.events()).toMatch(new RegExp(`Warning +${reason}`));
}

const cases: [name: string, behaviour: Behaviour, reason: string, message: RegExp][] = [
  ['answers 404', { status: 404 }, 'SourceNotFound', /404/],
  ['answers 500', { status: 500 }, 'SourceServerError', /500/],
  ['ends early, each time', { endAfter: 0 }, 'SourceEndedEarly', /content\.bin/],
  ['sends no byte for 30 s', { stallAfter: 0 }, 'SourceStalled', /30 s/],
];

for (const [name, behaviour, reason, message] of cases)
  scenario(
    `a source that ${name}`,
    async (world) => {
      const { source, old, distribution } = await withFirstRevision(world);
      const next = source.file('content.bin', 'next', 2 * MEBIBYTE);
      await source.behave(next, behaviour);
      await distribution.apply(fromFiles([next]));
      await expectReason(distribution, reason, message);
      await expectOldRevision(world, distribution, old);

      // It is tried again, and a source that is mended needs nobody.
      await source.behave(next, {});
      await distribution.until(
        'the new revision is active everywhere',
        ({ status }) =>
          status?.revision?.active === status?.revision?.desired &&
          status?.nodes?.active === status?.nodes?.selected,
        120,
      );
      for (const node of await nodeNames())
        expect(await filesOn(node, world.namespace, 'failing')).toEqual(asOnNode([next]));
    },
    { timeoutSeconds: 400 },
  );

scenario('a file with another SHA-256 than the spec says', async (world) => {
  const { source, old, distribution } = await withFirstRevision(world);
  const next = source.file('content.bin', 'other', 2 * MEBIBYTE);
  const file = { path: next.path, url: next.url, sha256: old.sha256 };
  await distribution.apply({ source: { http: { files: [file] } } });
  await expectReason(distribution, 'SourceChecksumMismatch', /content\.bin/);
  await expectOldRevision(world, distribution, old);
});

scenario('more bytes than sizeLimit', async (world) => {
  const { source, old, distribution } = await withFirstRevision(world);
  const next = source.file('content.bin', 'large', 2 * MEBIBYTE);
  const spec = fromFiles([next]);
  await distribution.apply({ source: { ...spec.source, sizeLimit: '1Mi' } });
  await expectReason(distribution, 'SourceTooLarge', /1\.0 MiB/);
  await expectOldRevision(world, distribution, old);
});
