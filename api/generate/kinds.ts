// What the generator makes: one entry a kind, with everything that a schema does not say.
import type { TSchema } from 'typebox';
import {
  contentDistributionSpecSchema,
  contentDistributionStatusSchema,
} from '../kinds/content-distribution.ts';
import { contentRevisionSpecSchema, contentRevisionStatusSchema } from '../kinds/content-revision.ts';
import { nodeContentSpecSchema, nodeContentStatusSchema } from '../kinds/node-content.ts';
import { CONTENT_DISTRIBUTION, CONTENT_REVISION, NODE_CONTENT, type Resource } from '../resource.ts';
import type { Rule } from '../schema.ts';

/** A column of `kubectl get`; priority 1 shows with `-o wide` only. */
export interface Column {
  name: string;
  type: 'string' | 'integer' | 'date' | 'boolean';
  jsonPath: string;
  description: string;
  priority?: 1;
}

/** A kind, ready to be printed. */
export interface Kind {
  resource: Resource;
  shortNames: string[];
  /** What the kind is, for `kubectl explain` and the reference. */
  description: string;
  spec: TSchema;
  status: TSchema;
  /** Whether an object without a spec is an object. */
  specRequired: boolean;
  /** Rules that see the object's name. */
  rules: Rule[];
  columns: Column[];
}

const age: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since the object was made.',
};
const condition = (type: string, what: 'status' | 'reason' | 'message') =>
  `.status.conditions[?(@.type=="${type}")].${what}`;

export const kinds: Kind[] = [
  {
    resource: CONTENT_DISTRIBUTION,
    shortNames: ['cdist'],
    description:
      'A ContentDistribution asks for the same read-only content on the disk of every node, or of those that its placement selects. The source is read once; the nodes get the content from each other by BitTorrent.',
    spec: contentDistributionSpecSchema,
    status: contentDistributionStatusSchema,
    specRequired: true,
    rules: [
      {
        rule: 'size(self.metadata.name) <= 50',
        message:
          'metadata.name must be at most 50 characters long, because the names of revisions are made from it and must fit into labels',
      },
    ],
    columns: [
      {
        name: 'Ready',
        type: 'string',
        jsonPath: condition('Ready', 'status'),
        description: 'Whether enough nodes have the desired revision active.',
      },
      {
        name: 'Nodes',
        type: 'string',
        jsonPath: '.status.summary.nodes',
        description: 'Nodes that hold the desired revision, of those selected.',
      },
      {
        name: 'Progress',
        type: 'string',
        jsonPath: '.status.summary.progress',
        description: 'Share of all bytes on all selected nodes that is there.',
      },
      {
        name: 'Size',
        type: 'string',
        jsonPath: '.status.summary.size',
        description: 'Size of the content.',
      },
      { name: 'ETA', type: 'string', jsonPath: '.status.summary.eta', description: 'Time left.' },
      {
        name: 'Revision',
        type: 'string',
        jsonPath: '.status.revision.desired',
        description: 'The desired revision.',
      },
      age,
      {
        name: 'Rate',
        type: 'string',
        jsonPath: '.status.summary.rate',
        description: 'What the nodes receive together.',
        priority: 1,
      },
      {
        name: 'Active',
        type: 'integer',
        jsonPath: '.status.nodes.active',
        description: 'Nodes that show the desired revision to Pods.',
        priority: 1,
      },
      {
        name: 'Message',
        type: 'string',
        jsonPath: condition('Ready', 'message'),
        description: 'Why it is ready or not.',
        priority: 1,
      },
    ],
  },
  {
    resource: CONTENT_REVISION,
    shortNames: ['crev'],
    description:
      'A ContentRevision is one immutable version of the content of a ContentDistribution. The operator makes it; agents and trackers obey it. It is not for people to write.',
    spec: contentRevisionSpecSchema,
    status: contentRevisionStatusSchema,
    specRequired: true,
    rules: [
      {
        rule: "self.metadata.name == self.spec.distribution + '-' + self.spec.revision",
        message: 'metadata.name must be spec.distribution, "-" and spec.revision',
      },
    ],
    columns: [
      {
        name: 'Distribution',
        type: 'string',
        jsonPath: '.spec.distribution',
        description: 'The distribution it belongs to.',
      },
      { name: 'Revision', type: 'string', jsonPath: '.spec.revision', description: 'Name of the revision.' },
      {
        name: 'Sequence',
        type: 'integer',
        jsonPath: '.spec.sequence',
        description: 'Number within its distribution.',
      },
      {
        name: 'Bytes',
        type: 'integer',
        jsonPath: '.spec.sizeBytes',
        description: 'Total size of the files.',
      },
      { name: 'Files', type: 'integer', jsonPath: '.spec.files', description: 'Number of files.' },
      {
        name: 'Epoch',
        type: 'integer',
        jsonPath: '.spec.activation.epoch',
        description: 'The held revision with the highest epoch is what Pods see.',
      },
      age,
      {
        name: 'Info Hash',
        type: 'string',
        jsonPath: '.spec.infoHash',
        description: 'Info hash of the swarm.',
        priority: 1,
      },
      {
        name: 'Ready At',
        type: 'date',
        jsonPath: '.status.readyAt',
        description: 'Time since it was first active on enough nodes.',
        priority: 1,
      },
    ],
  },
  {
    resource: NODE_CONTENT,
    shortNames: ['ncontent'],
    description:
      'A NodeContent tells what one node holds; it has the name of the node. The agent of the node makes it and writes its status; administrators may set the limits in its spec.',
    spec: nodeContentSpecSchema,
    status: nodeContentStatusSchema,
    specRequired: false,
    rules: [],
    columns: [
      {
        name: 'Ready',
        type: 'string',
        jsonPath: condition('Ready', 'status'),
        description: 'Whether the agent of the node works.',
      },
      { name: 'Held', type: 'integer', jsonPath: '.status.summary.held', description: 'Revisions held.' },
      {
        name: 'Downloading',
        type: 'integer',
        jsonPath: '.status.summary.downloading',
        description: 'Revisions that are on their way.',
      },
      {
        name: 'Failed',
        type: 'integer',
        jsonPath: '.status.summary.failed',
        description: 'Revisions that the node cannot get.',
      },
      {
        name: 'Used',
        type: 'string',
        jsonPath: '.status.summary.used',
        description: 'Bytes that content uses.',
      },
      {
        name: 'Available',
        type: 'string',
        jsonPath: '.status.summary.available',
        description: 'Bytes that new content may use.',
      },
      age,
      {
        name: 'Storage Low',
        type: 'string',
        jsonPath: condition('StorageLow', 'status'),
        description: 'Whether there is too little room.',
        priority: 1,
      },
      {
        name: 'Version',
        type: 'string',
        jsonPath: '.status.agent.version',
        description: 'Version of the agent.',
        priority: 1,
      },
    ],
  },
];
