// Names: legal for Kubernetes whatever they are made from, and different for what is different.
import { expect, test } from '@jest/globals';
import {
  contentRevisionName,
  ingestPath,
  MAX_DISTRIBUTION_NAME_LENGTH,
  parseTermination,
  persistentVolumeName,
  publisherPodName,
  REVISION_LENGTH,
  revisionFromDigest,
} from '../../api/index.ts';

const UID = '7b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c11';

test('the longest name of a revision is a label value', () => {
  const longest = contentRevisionName('a'.repeat(MAX_DISTRIBUTION_NAME_LENGTH), 'b'.repeat(REVISION_LENGTH));
  expect(longest).toHaveLength(63);
});

test('publisher Pods have host names of their own', () => {
  const names = [
    publisherPodName(UID, '0123456789abcdef', 1),
    publisherPodName(UID, '0123456789abcdef', 2),
    publisherPodName(UID, '0123456789abcdee', 1),
    publisherPodName(UID.replace('7', '8'), '0123456789abcdef', 1),
  ];
  expect(new Set(names).size).toBe(4);
  for (const name of names) expect(name).toMatch(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])$/);
  expect(publisherPodName(UID, '0123456789abcdef', 1)).toBe(names[0]);
});

test('revisions are named by their digest', () => {
  expect(revisionFromDigest(`sha256:3f2a91c07b1e${'0'.repeat(52)}`)).toBe('3f2a91c07b1e');
  expect(persistentVolumeName(UID)).toBe(`enxame-${UID}`);
});

test('paths of the ingest protocol', () => {
  expect(ingestPath.plan(UID, 2)).toBe(`/ingest/${UID}/2/plan`);
  expect(ingestPath.file(UID, 2, 7)).toBe(`/ingest/${UID}/2/files/7`);
  expect(ingestPath.fileFinish(UID, 2, 7)).toBe(`/ingest/${UID}/2/files/7/finish`);
  expect(ingestPath.finish(UID, 2)).toBe(`/ingest/${UID}/2/finish`);
  expect(ingestPath.fail(UID, 2)).toBe(`/ingest/${UID}/2/fail`);
  expect(ingestPath.status(UID, 2)).toBe(`/ingest/${UID}/2`);
});

test('termination messages of publishers, and of others', () => {
  expect(parseTermination('{"reason":"SourceNotFound","message":"x answered 404"}')).toEqual({
    reason: 'SourceNotFound',
    message: 'x answered 404',
  });
  for (const text of [undefined, '', 'Killed', '{}', '{"reason":"<script>","message":""}', 'null']) {
    expect(parseTermination(text)).toBeUndefined();
  }
});
