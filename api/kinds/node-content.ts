// NodeContent: what one node holds. Its agent makes it and alone writes its status; administrators and the
// operator write its spec.
import { Optional, type Static } from 'typebox';
import {
  bytes,
  count,
  flag,
  listMap,
  message,
  oneOf,
  quantity,
  reason,
  record,
  text,
  time,
  uid,
} from '../schema.ts';
import { MAX_FILES, MAX_METAINFO_BYTES } from './content-revision.ts';
import { conditionsSchema, limitsSchema } from './parts.ts';

/** How many publications one node can be receiving or have just received. */
export const MAX_PUBLISHING = 64;
/** How many revisions a node reports. */
export const MAX_NODE_REVISIONS = 512;

const sourceStateText = () =>
  text({ description: 'Hash of the spec.source.', maxLength: 16, pattern: '^[0-9a-f]{16}$' });
const attempt = () =>
  count({ description: 'Number of the attempt, rising.', minimum: 1, maximum: 1_000_000_000 });

const reservation = record(
  {
    uid: uid({ description: 'UID of the distribution.' }),
    attempt: attempt(),
    sourceState: sourceStateText(),
    distributionName: text({
      description: 'Name of the distribution; it becomes the name in the info dictionary.',
      minLength: 1,
      maxLength: 50,
      pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    }),
    podNamespace: text({
      description: 'Namespace of the distribution and of its publisher Pod.',
      minLength: 1,
      maxLength: 63,
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    }),
    podName: text({ description: 'Name of the publisher Pod.', minLength: 1, maxLength: 253 }),
    podUID: Optional(
      uid({
        description: 'UID of the publisher Pod, once there is one. Nothing is accepted before it is named.',
      }),
    ),
    sizeLimit: Optional(bytes('The most bytes that the agent accepts.')),
    declaredBytes: Optional(bytes('The size that is expected, where it is known beforehand.')),
  },
  { description: 'A right of one publisher Pod to stream content to the agent of this node.' },
);

export const nodeContentSpecSchema = record(
  {
    storage: Optional(
      record(
        {
          capacity: Optional(
            quantity({
              description:
                'The most bytes that content may use on this node. Left out, the file system is the limit.',
              atLeast: '0',
              unit: 'bytes',
            }),
          ),
          reserve: Optional(
            quantity({
              description: 'Bytes of the file system that content must leave free.',
              atLeast: '0',
              unit: 'bytes',
            }),
          ),
        },
        { description: 'How much of the disk content may use.' },
      ),
    ),
    limits: Optional(limitsSchema),
    paused: Optional(flag({ description: 'No transfer runs on this node.', default: false })),
    publishing: Optional(
      listMap(reservation, ['uid'], {
        description: 'Publications that the operator sent to this node.',
        maxItems: MAX_PUBLISHING,
      }),
    ),
  },
  { description: 'What administrators and the operator ask of the node.' },
);

/** What is asked of a node. */
export type NodeContentSpec = Static<typeof nodeContentSpecSchema>;
/** A right of one publisher Pod to stream content to the agent of a node. */
export type Reservation = Static<typeof reservation>;

const publication = record(
  {
    uid: uid({ description: 'UID of the distribution.' }),
    attempt: attempt(),
    sourceState: Optional(sourceStateText()),
    phase: oneOf(['Reserved', 'Receiving', 'Hashing', 'Published', 'Failed'], {
      description: 'How far the publication is.',
    }),
    reason: Optional(reason('Why it failed.')),
    message: Optional(message('Why it failed and what to do.')),
    digest: Optional(
      text({ description: 'SHA-256 of the manifest.', maxLength: 71, pattern: '^sha256:[0-9a-f]{64}$' }),
    ),
    infoHash: Optional(text({ description: 'Info hash (BEP 3).', maxLength: 40, pattern: '^[0-9a-f]{40}$' })),
    sizeBytes: Optional(bytes('Total size of the files.')),
    metainfoBytes: Optional(
      count({ description: 'Size of the metainfo.', minimum: 1, maximum: MAX_METAINFO_BYTES }),
    ),
    files: Optional(count({ description: 'Number of files.', minimum: 1, maximum: MAX_FILES })),
    pieceLength: Optional(count({ description: 'Bytes in a piece.', minimum: 16_384, maximum: 268_435_456 })),
  },
  { description: 'How a publication on this node goes, or went.' },
);

const heldRevision = record(
  {
    namespace: text({ description: 'Namespace of the distribution.', minLength: 1, maxLength: 63 }),
    distribution: text({ description: 'Name of the distribution.', minLength: 1, maxLength: 253 }),
    uid: uid({ description: 'UID of the distribution.' }),
    revision: text({ description: 'Name of the revision.', maxLength: 12, pattern: '^[0-9a-f]{12}$' }),
    phase: oneOf(['Pending', 'Downloading', 'Held', 'Failed', 'Unsupported'], {
      description: 'How far the node is with it.',
    }),
    active: Optional(flag({ description: 'Whether it is what Pods of this node see.' })),
    reason: Optional(reason('Why the phase is what it is.')),
    message: Optional(message('Why the phase is what it is, and what to do.')),
    heldAt: Optional(time('Since when it is complete and verified.')),
  },
  { description: 'A revision that the node holds or is to hold.' },
);

export const nodeContentStatusSchema = record(
  {
    agent: Optional(
      record(
        {
          version: text({ description: 'Version of the agent.', maxLength: 64 }),
          podUID: Optional(
            uid({ description: 'UID of its Pod; entries count only while that Pod is ready.' }),
          ),
          address: Optional(text({ description: 'Address of its Pod.', maxLength: 64 })),
        },
        { description: 'The agent that wrote this status.' },
      ),
    ),
    storage: Optional(
      record(
        {
          capacityBytes: bytes('Bytes that content may use in all.'),
          usedBytes: bytes('Bytes that content uses.'),
          reservedBytes: bytes('Bytes that running transfers will still need.'),
          availableBytes: bytes('Bytes that new content may use.'),
        },
        { description: 'Room on the disk.' },
      ),
    ),
    publishing: Optional(
      listMap(publication, ['uid'], {
        description: 'Publications that this node received, transitions only.',
        maxItems: MAX_PUBLISHING,
      }),
    ),
    revisions: Optional(
      // By UID and not by name: a distribution made anew under its name has the same revision for the same
      // content, while the files of the old one may still be there.
      listMap(heldRevision, ['uid', 'revision'], {
        description: 'Revisions that the node holds or is to hold, transitions only.',
        maxItems: MAX_NODE_REVISIONS,
      }),
    ),
    conditions: Optional(conditionsSchema('Ready, StorageLow and DeletionHeld.')),
    summary: Optional(
      record(
        {
          held: count({ description: 'Revisions held.', minimum: 0, maximum: MAX_NODE_REVISIONS }),
          downloading: count({
            description: 'Revisions being downloaded.',
            minimum: 0,
            maximum: MAX_NODE_REVISIONS,
          }),
          failed: count({ description: 'Revisions that failed.', minimum: 0, maximum: MAX_NODE_REVISIONS }),
          used: Optional(text({ description: 'Used bytes, such as 15.0 GiB.', maxLength: 32 })),
          available: Optional(text({ description: 'Available bytes, such as 80.3 GiB.', maxLength: 32 })),
        },
        {
          description:
            'What the columns of kubectl show. For people: programs read the fields above, from which it is made.',
        },
      ),
    ),
  },
  { description: 'What is there. Only the agent of the node writes it.' },
);

/** What a node holds. */
export type NodeContentStatus = Static<typeof nodeContentStatusSchema>;
/** How a publication on a node goes. */
export type Publication = Static<typeof publication>;
/** A revision that a node holds or is to hold. */
export type NodeRevision = Static<typeof heldRevision>;
