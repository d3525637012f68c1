// ContentRevision: one immutable version of a distribution's content. The operator writes it, agents and
// trackers obey it: it is the one write that starts a swarm, whatever the number of nodes.
//
// Invariant: what identifies the content (UID, name, sequence, digest, info hash, sizes) never changes, and
// the activation epoch only rises; the API server holds to both even against the operator.
import { Optional, type Static } from 'typebox';
import { bytes, count, flag, oneOf, type Rule, record, stringSet, text, time, uid } from '../schema.ts';
import { limitsSchema, placementSchema, swarmSchema } from './parts.ts';

/** Metainfo beyond this is refused before a source is read (TooManyFiles). */
export const MAX_METAINFO_BYTES = 8 * 1024 * 1024;
/** More files than this cannot fit into the metainfo. */
export const MAX_FILES = 100_000;

const fixed = (name: string): Rule => ({
  rule: 'self == oldSelf',
  message: `${name} must not change: other content is another revision`,
  reason: 'FieldValueForbidden',
});

export const contentRevisionSpecSchema = record(
  {
    distributionUID: uid({
      description: 'UID of the distribution; on nodes the content is kept under it.',
      rules: [fixed('distributionUID')],
    }),
    distribution: text({
      description: 'Name of the distribution.',
      minLength: 1,
      maxLength: 50,
      pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
      rules: [fixed('distribution')],
    }),
    sourceState: text({
      description:
        'Hash of the spec.source that last gave this content. The desired revision is the one whose hash is that of the present source.',
      maxLength: 16,
      pattern: '^[0-9a-f]{16}$',
    }),
    sequence: count({
      description: 'Number of the revision within its distribution, rising from 1.',
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      rules: [fixed('sequence')],
    }),
    revision: text({
      description: 'Name of the revision: the first 12 digits of the digest.',
      maxLength: 12,
      pattern: '^[0-9a-f]{12}$',
      rules: [fixed('revision')],
    }),
    digest: text({
      description: 'SHA-256 of the manifest.',
      maxLength: 71,
      pattern: '^sha256:[0-9a-f]{64}$',
      rules: [fixed('digest')],
    }),
    infoHash: text({
      description: 'Info hash of the swarm (BEP 3): SHA-1 of the info dictionary.',
      maxLength: 40,
      pattern: '^[0-9a-f]{40}$',
      rules: [fixed('infoHash')],
    }),
    sizeBytes: bytes('Total size of the files.', { rules: [fixed('sizeBytes')] }),
    metainfoBytes: count({
      description: 'Size of the metainfo.',
      minimum: 1,
      maximum: MAX_METAINFO_BYTES,
      rules: [fixed('metainfoBytes')],
    }),
    files: count({
      description: 'Number of files.',
      minimum: 1,
      maximum: MAX_FILES,
      rules: [fixed('files')],
    }),
    pieceLength: count({
      description: 'Bytes in a piece; the last may be shorter.',
      minimum: 16_384,
      maximum: 268_435_456,
      rules: [fixed('pieceLength')],
    }),
    placement: Optional(placementSchema),
    swarm: Optional(swarmSchema),
    limits: Optional(limitsSchema),
    onDelete: Optional(
      oneOf(['Delete', 'Retain'], {
        description: 'What becomes of the files when the distribution is deleted.',
        default: 'Delete',
      }),
    ),
    paused: Optional(flag({ description: 'Transfers of this content stop.', default: false })),
    activation: record(
      {
        epoch: count({
          description:
            'A node shows the held revision with the highest epoch to Pods; 0 is not yet. It only rises.',
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          rules: [
            {
              rule: 'self >= oldSelf',
              message:
                'activation.epoch must not become less: to go back, raise the epoch of the older revision',
            },
          ],
        }),
      },
      { description: 'Which revision nodes show to Pods.' },
    ),
    requires: Optional(
      stringSet(
        text({
          description: 'Name of a feature.',
          minLength: 1,
          maxLength: 63,
          pattern: '^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$',
        }),
        {
          description:
            'What an agent must know to follow this revision. One that does not know an entry reports Unsupported and does nothing.',
          maxItems: 16,
        },
      ),
    ),
  },
  {
    description: 'What the content is and where it is to be.',
    rules: [
      {
        rule: "self.digest.startsWith('sha256:' + self.revision)",
        message: 'revision must be the first 12 digits of digest',
        fieldPath: '.revision',
      },
    ],
  },
);

/** What agents and trackers obey. */
export type ContentRevisionSpec = Static<typeof contentRevisionSpecSchema>;

export const contentRevisionStatusSchema = record(
  {
    readyAt: Optional(
      time('When the revision was first active on enough nodes for its distribution to be Ready.'),
    ),
  },
  { description: 'Written by the operator.' },
);

/** What the operator remembers of a revision. */
export type ContentRevisionStatus = Static<typeof contentRevisionStatusSchema>;
