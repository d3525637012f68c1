// ContentDistribution: what a user asks for. The only kind that people write.
import { Optional, type Static } from 'typebox';
import {
  bytes,
  count,
  countOrPercent,
  flag,
  listMap,
  message,
  objectName,
  oneOf,
  quantity,
  type Rule,
  reason,
  record,
  text,
  time,
} from '../schema.ts';
import { conditionsSchema, limitsSchema, placementSchema, swarmSchema } from './parts.ts';

/** Files of one http source. More belong into an archive or another source; CEL has to judge each of them. */
export const MAX_HTTP_FILES = 512;

// Regular expressions and not split('/'): the API server's cost estimate allows no list per file.
const pathRules: Rule[] = [
  {
    rule: "!self.matches('(^|/)[.]{0,2}(/|$)')",
    message:
      'must be a relative path, such as weights/model.bin: no "/" at its ends, no part that is empty, "." or ".."',
  },
  {
    // Characters here, bytes in pathProblem(): a pattern cannot count bytes.
    rule: "!self.matches('[^/]{256}')",
    message: 'each part of the path must be at most 255 bytes long',
  },
  {
    rule: "!self.matches('[\\\\x00-\\\\x1f\\\\x7f\\\\\\\\]')",
    message: 'must not hold control characters (NUL, line ends) or backslashes',
  },
];

const urlRules: Rule[] = [
  {
    rule: "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",
    message: 'must be an absolute http or https URL with a host, such as https://example.com/model.bin',
  },
  {
    rule: "!self.matches('^[^/?#]*//[^/?#]*@')",
    message:
      'must not hold a user name or password: put an Authorization line into a Secret and name it in headersSecretRef',
  },
];

const httpFile = record(
  {
    path: text({
      description: 'Where the file lies within the content: a relative path with "/" between its parts.',
      minLength: 1,
      maxLength: 1024,
      rules: pathRules,
    }),
    url: text({
      description: 'Where the file is read from: an http or https URL without user name or password.',
      minLength: 1,
      maxLength: 2048,
      rules: urlRules,
    }),
    sha256: Optional(
      text({
        description:
          'SHA-256 that the file must have, as 64 hexadecimal digits. Checked before anything is published.',
        maxLength: 64,
        rules: [
          {
            rule: "self.matches('^[0-9a-fA-F]{64}$')",
            message: 'must be a SHA-256 as 64 hexadecimal digits',
          },
        ],
      }),
    ),
    executable: Optional(
      flag({
        description: 'Whether the file gets its executable bits (mode 0555 and not 0444).',
        default: false,
      }),
    ),
  },
  { description: 'One file of the content.' },
);

const httpSource = record(
  {
    files: listMap(httpFile, ['path'], {
      description: 'The files of the content, each with its own URL.',
      minItems: 1,
      maxItems: MAX_HTTP_FILES,
    }),
    headersSecretRef: Optional(
      record(
        { name: objectName({ description: 'Name of the Secret, in the namespace of the distribution.' }) },
        {
          description:
            'A Secret whose key enxame.dev.headers (and no other) holds request headers, a line `Name: value` each. They are sent to the origins of the declared URLs only and dropped on redirects to elsewhere.',
        },
      ),
    ),
  },
  { description: 'Files from web servers.' },
);

const configMapSource = record(
  { name: objectName({ description: 'Name of the ConfigMap, in the namespace of the distribution.' }) },
  { description: 'The keys of a ConfigMap, each as a file of that name. For small content and for trials.' },
);

const sourceSchema = record(
  {
    http: Optional(httpSource),
    configMap: Optional(configMapSource),
    sizeLimit: Optional(
      quantity({
        description:
          'The most bytes the content may have. Needed where the source does not state its size beforehand; reading past it fails.',
        atLeast: '1',
        unit: 'bytes',
      }),
    ),
  },
  {
    description:
      'Where the content comes from; exactly one of its kinds. It is read once, whatever the number of nodes.',
    rules: [
      {
        rule: '[has(self.http), has(self.configMap)].filter(given, given).size() == 1',
        message: 'exactly one source must be given: http or configMap',
      },
    ],
  },
);

const claimRules: Rule[] = [
  {
    rule: '!has(oldSelf.claim) || !has(self.claim) || (has(self.placement) ? has(oldSelf.placement) && self.placement == oldSelf.placement : !has(oldSelf.placement))',
    message:
      'placement must not change while claim is set, because the node affinity of a PersistentVolume cannot: remove claim first, or make another distribution',
    fieldPath: '.placement',
    reason: 'FieldValueForbidden',
  },
  {
    rule: '!has(oldSelf.claim) || !has(self.claim) || self.claim.name == oldSelf.claim.name',
    message:
      'claim.name must not change: remove claim, wait until its PersistentVolumeClaim is gone, and set the new name',
    fieldPath: '.claim',
    reason: 'FieldValueForbidden',
  },
  {
    rule: '!has(self.claim) || !has(self.placement) || !has(self.placement.nodeAffinity) || !self.placement.nodeAffinity.nodeSelectorTerms.exists(term, has(term.matchFields) && size(term.matchFields) > 0)',
    message:
      'placement.nodeAffinity must not use matchFields while claim is set, because PersistentVolumes match labels of nodes only: use the label kubernetes.io/hostname',
    fieldPath: '.placement.nodeAffinity',
  },
];

export const contentDistributionSpecSchema = record(
  {
    source: sourceSchema,
    placement: Optional(placementSchema),
    claim: Optional(
      record(
        {
          name: objectName({
            description: 'Name of the PersistentVolumeClaim to make in the namespace of the distribution.',
          }),
        },
        {
          description:
            'Make a PersistentVolumeClaim through which Pods of the namespace read the content of their node. A Pod that mounts it starts only once its node holds the content. While it is set, placement cannot change.',
        },
      ),
    ),
    activation: Optional(
      record(
        {
          policy: Optional(
            oneOf(['Immediate'], {
              description: 'Immediate: each node shows a revision to Pods as soon as it holds it.',
              default: 'Immediate',
            }),
          ),
        },
        { description: 'When a new revision takes the place of the old one.', default: {} },
      ),
    ),
    availability: Optional(
      record(
        {
          minAvailable: Optional(
            countOrPercent({
              description:
                'How many of the eligible nodes (selected, Node and agent ready) must have the desired revision active: a percentage such as 95%, or a number.',
              default: '100%',
            }),
          ),
        },
        { description: 'What the condition Ready asks for.', default: {} },
      ),
    ),
    retention: Optional(
      record(
        {
          revisions: Optional(
            count({
              description: 'How many revisions to keep on the nodes, with the active one.',
              minimum: 1,
              maximum: 10,
              default: 2,
            }),
          ),
          onDelete: Optional(
            oneOf(['Delete', 'Retain'], {
              description: 'What becomes of the files when the distribution is deleted.',
              default: 'Delete',
            }),
          ),
        },
        { description: 'What is kept.', default: {} },
      ),
    ),
    limits: Optional(limitsSchema),
    swarm: Optional(swarmSchema),
    suspend: Optional(
      flag({
        description: 'No publishing and no activation, and transfers stop; what nodes hold stays.',
        default: false,
      }),
    ),
  },
  { description: 'What is asked for.', rules: claimRules },
);

/** What a user asks for. */
export type ContentDistributionSpec = Static<typeof contentDistributionSpecSchema>;
/** Where content comes from. */
export type SourceSpec = ContentDistributionSpec['source'];
/** Files from web servers. */
export type HttpSourceSpec = Static<typeof httpSource>;
/** One of them. */
export type HttpFileSpec = Static<typeof httpFile>;

const revisionName = (description: string) => text({ description, maxLength: 12, pattern: '^[0-9a-f]{12}$' });
const nodes = (description: string) => count({ description, minimum: 0, maximum: 1_000_000 });

export const contentDistributionStatusSchema = record(
  {
    observedGeneration: Optional(
      count({
        description: 'The generation of the spec that this status was made from.',
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
      }),
    ),
    conditions: Optional(
      conditionsSchema(
        'Ready, Reconciling, Published, Distributed, Activated, Degraded, NoProgress and Stalled.',
      ),
    ),
    revision: Optional(
      record(
        {
          desired: Optional(revisionName('The revision that the nodes are to hold.')),
          active: Optional(revisionName('The revision that most nodes show to Pods.')),
        },
        { description: 'Revisions by name: the first 12 digits of their digest.' },
      ),
    ),
    content: Optional(
      record(
        {
          digest: text({
            description: 'SHA-256 of the manifest of the content.',
            maxLength: 71,
            pattern: '^sha256:[0-9a-f]{64}$',
          }),
          infoHash: text({
            description: 'Info hash of the swarm (BEP 3).',
            maxLength: 40,
            pattern: '^[0-9a-f]{40}$',
          }),
          sizeBytes: bytes('Total size of the files.'),
          files: count({ description: 'Number of files.', minimum: 0, maximum: 1_000_000 }),
          pieces: count({ description: 'Number of pieces.', minimum: 0, maximum: 100_000_000 }),
          pieceLength: count({ description: 'Bytes in a piece.', minimum: 1, maximum: 1_073_741_824 }),
        },
        { description: 'What the desired revision is made of.' },
      ),
    ),
    nodes: Optional(
      record(
        {
          selected: nodes('Nodes that the placement selects: the sum of the next five.'),
          held: nodes('Nodes that hold the desired revision, complete and verified.'),
          downloading: nodes('Nodes that are getting it.'),
          pending: nodes('Nodes that have not begun.'),
          failed: nodes('Nodes that cannot get it; see failedNodes.'),
          unavailable: nodes('Nodes that are not ready, or whose agent is not.'),
          active: nodes('Nodes that show the desired revision to Pods.'),
        },
        { description: 'How many nodes are how far.' },
      ),
    ),
    progress: Optional(
      record(
        {
          percent: count({
            description: 'Share of all bytes on all selected nodes that is there.',
            minimum: 0,
            maximum: 100,
          }),
          bytesPerSecond: Optional(bytes('Bytes per second that the nodes receive together.')),
          estimatedCompletionTime: Optional(time('When the last node will hold the content at this pace.')),
          peerBytes: Optional(bytes('Bytes that nodes got from each other.')),
        },
        { description: 'How far the distribution is.' },
      ),
    ),
    slowestNodes: Optional(
      listMap(
        record(
          {
            name: text({ description: 'Name of the node.', minLength: 1, maxLength: 253 }),
            percent: count({ description: 'Share of the content it has.', minimum: 0, maximum: 100 }),
          },
          { description: 'A node that is behind.' },
        ),
        ['name'],
        { description: 'The nodes with most bytes left, ten at most.', maxItems: 10 },
      ),
    ),
    failedNodes: Optional(
      listMap(
        record(
          {
            name: text({ description: 'Name of the node.', minLength: 1, maxLength: 253 }),
            reason: reason('Why it failed.'),
            message: Optional(message('Why it failed and what to do.')),
          },
          { description: 'A node that cannot get the content.' },
        ),
        ['name'],
        { description: 'Nodes that cannot get the content, twenty at most.', maxItems: 20 },
      ),
    ),
    history: Optional(
      listMap(
        record(
          {
            revision: revisionName('Name of the revision.'),
            sequence: count({
              description: 'Number of the revision, rising.',
              minimum: 1,
              maximum: Number.MAX_SAFE_INTEGER,
            }),
            digest: text({
              description: 'SHA-256 of its manifest.',
              maxLength: 71,
              pattern: '^sha256:[0-9a-f]{64}$',
            }),
            publishedAt: Optional(time('When it was published.')),
            held: Optional(nodes('Nodes that hold it.')),
          },
          { description: 'A revision that is kept.' },
        ),
        ['revision'],
        { description: 'The revisions that are kept, newest first.', maxItems: 16 },
      ),
    ),
    summary: Optional(
      record(
        {
          nodes: Optional(text({ description: 'Held and selected nodes, such as 31/40.', maxLength: 32 })),
          progress: Optional(text({ description: 'Progress, such as 87%.', maxLength: 8 })),
          size: Optional(text({ description: 'Size of the content, such as 15.0 GiB.', maxLength: 32 })),
          eta: Optional(text({ description: 'Time left, such as 2m10s.', maxLength: 32 })),
          rate: Optional(text({ description: 'Rate, such as 1.2 GiB/s.', maxLength: 32 })),
        },
        {
          description:
            'What the columns of kubectl show. For people: programs read the fields above, from which it is made.',
        },
      ),
    ),
  },
  { description: 'What is there. Written by the operator.' },
);

/** What is there. */
export type ContentDistributionStatus = Static<typeof contentDistributionStatusSchema>;
