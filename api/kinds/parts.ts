// Schema parts that more than one kind has.
import { Optional, type Static } from 'typebox';
import {
  atomicList,
  count,
  listMap,
  message,
  oneOf,
  quantity,
  type Rule,
  record,
  stringMap,
  text,
  time,
} from '../schema.ts';

const LABEL_KEY =
  '^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$';
const LABEL_VALUE = '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$';

const labelKeyRule: Rule = {
  rule: `self.matches('${LABEL_KEY}')`,
  message: 'must be a label key, such as gpu or example.com/gpu',
};

const requirementRules: Rule[] = [
  {
    rule: "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
    message: 'values must hold at least one value when operator is In or NotIn',
  },
  {
    rule: "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
    message: 'values must be left out when operator is Exists or DoesNotExist',
  },
  {
    rule: "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && size(self.values) == 1 && self.values[0].matches('^-?[0-9]{1,18}$'))",
    message: 'values must hold exactly one integer when operator is Gt or Lt',
  },
];

const matchExpression = record(
  {
    key: text({ description: 'The label key.', minLength: 1, maxLength: 317, rules: [labelKeyRule] }),
    operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'], {
      description: 'How the label is compared with the values.',
    }),
    values: Optional(
      atomicList(
        text({
          description: 'A label value.',
          maxLength: 63,
        }),
        {
          description:
            'Several for In and NotIn, none for Exists and DoesNotExist, one integer for Gt and Lt.',
          maxItems: 64,
        },
      ),
    ),
  },
  { description: 'A requirement on one label of the node.', rules: requirementRules },
);

const matchField = record(
  {
    key: oneOf(['metadata.name'], { description: 'The field; a node has only metadata.name.' }),
    operator: oneOf(['In', 'NotIn'], { description: 'How the field is compared with the value.' }),
    values: atomicList(text({ description: 'The name of a node.', minLength: 1, maxLength: 253 }), {
      description: 'The name of one node.',
      minItems: 1,
      maxItems: 1,
    }),
  },
  { description: "A requirement on a field of the node, as in Kubernetes' NodeSelectorTerm." },
);

export const nodeSelectorSchema = record(
  {
    nodeSelectorTerms: atomicList(
      record(
        {
          matchExpressions: Optional(
            atomicList(matchExpression, { description: 'All of these must match.', maxItems: 16 }),
          ),
          matchFields: Optional(
            atomicList(matchField, { description: 'All of these must match.', maxItems: 4 }),
          ),
        },
        {
          description:
            'A node matches a term when it meets all of its requirements; an empty term matches no node.',
        },
      ),
      {
        description: 'A node is selected when it matches at least one of these terms.',
        minItems: 1,
        maxItems: 16,
      },
    ),
  },
  { description: "A NodeSelector of Kubernetes' core, as in required node affinity of Pods." },
);

/** A core NodeSelector. */
export type NodeSelector = Static<typeof nodeSelectorSchema>;
/** One term of it. */
export type NodeSelectorTerm = NodeSelector['nodeSelectorTerms'][number];
/** One requirement on a label. */
export type NodeSelectorRequirement = Static<typeof matchExpression>;

export const placementSchema = record(
  {
    nodeSelector: Optional(
      stringMap(
        text({
          description: 'The value that the label must have.',
          maxLength: 63,
          rules: [
            {
              rule: `self.matches('${LABEL_VALUE}')`,
              message:
                'must be a label value: at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends',
            },
          ],
        }),
        {
          description: 'Labels that a node must have, all of them.',
          maxProperties: 32,
          rules: [
            {
              rule: `self.all(key, key.matches('${LABEL_KEY}'))`,
              message: 'every key of nodeSelector must be a label key, such as gpu or example.com/gpu',
            },
          ],
        },
      ),
    ),
    nodeAffinity: Optional(nodeSelectorSchema),
  },
  {
    description:
      'Which nodes get the content; both parts must match. Left out, every node that runs an agent gets it.',
  },
);

/** Which nodes get a content. */
export type Placement = Static<typeof placementSchema>;

export const limitsSchema = record(
  {
    upload: Optional(
      quantity({
        description: 'Bytes per second that a node may send.',
        atLeast: '16Ki',
        unit: 'bytes per second',
      }),
    ),
    download: Optional(
      quantity({
        description: 'Bytes per second that a node may receive.',
        atLeast: '16Ki',
        unit: 'bytes per second',
      }),
    ),
  },
  { description: 'Bandwidth of each node, in bytes per second. Left out, there is no limit.' },
);

/** Bandwidth limits, as quantities. */
export type Limits = Static<typeof limitsSchema>;

export const swarmSchema = record(
  {
    policy: Optional(
      oneOf(['Cluster', 'Classic'], {
        description:
          'Cluster: agents serve every other agent of the cluster at once. Classic: tit for tat, as on the open internet.',
        default: 'Cluster',
      }),
    ),
  },
  { description: 'How agents choose whom to serve and in which order they ask.', default: {} },
);

export const conditionsSchema = (description: string) =>
  listMap(
    record(
      {
        type: text({
          description: 'What the condition is about.',
          minLength: 1,
          maxLength: 316,
          pattern: '^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$',
        }),
        status: oneOf(['True', 'False', 'Unknown'], { description: 'Whether it holds.' }),
        observedGeneration: Optional(
          count({
            description: 'The generation of the object that this condition was made from.',
            minimum: 0,
            maximum: Number.MAX_SAFE_INTEGER,
          }),
        ),
        lastTransitionTime: time('When the status last changed.'),
        reason: text({
          description: 'Why, as a word for programs.',
          minLength: 1,
          maxLength: 128,
          pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
        }),
        message: message('Why, as a sentence for people.'),
      },
      { description: 'One observation about the object.' },
    ),
    ['type'],
    { description, maxItems: 16 },
  );

/** A condition as Kubernetes' API conventions have it. */
export type Condition = Static<ReturnType<typeof conditionsSchema>>[number];
