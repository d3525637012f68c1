// docs/reference/api.md: every field with its type, default, bounds and rules, from the same schemas.
import type { Rule } from '../schema.ts';
import { plainSchema } from './crd.ts';
import type { Kind } from './kinds.ts';

interface Schema {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema;
  enum?: string[];
  default?: unknown;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: Rule[];
}

function typeOf(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(', ');
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'values' : plural(schema.items)}`;
  if (schema.additionalProperties !== undefined) return 'map of strings';
  if (schema.format === 'date-time') return 'time';
  return schema.type ?? 'any';
}

function plural(items: Schema): string {
  return items.type === 'object' ? 'objects' : `${typeOf(items)}s`;
}

function bounds(schema: Schema): string[] {
  const parts: string[] = [];
  if (schema.enum !== undefined) return parts;
  if (schema.minimum !== undefined && schema.maximum !== undefined) {
    const most = schema.maximum === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : String(schema.maximum);
    parts.push(`From ${schema.minimum} to ${most}.`);
  }
  if (schema.pattern !== undefined) parts.push(`Matches \`${schema.pattern.replaceAll('|', '\\|')}\`.`);
  else if (schema.type === 'string' && schema.maxLength !== undefined && schema.format === undefined) {
    parts.push(`At most ${schema.maxLength} characters.`);
  }
  if (schema.maxItems !== undefined) {
    parts.push(
      schema.minItems === undefined || schema.minItems === 0
        ? `At most ${schema.maxItems}.`
        : `From ${schema.minItems} to ${schema.maxItems}.`,
    );
  }
  if (schema.maxProperties !== undefined) parts.push(`At most ${schema.maxProperties}.`);
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys !== undefined) parts.push(`No two with the same ${keys.join(' and ')}.`);
  return parts;
}

function rulesOf(schema: Schema): string[] {
  const rules = [
    ...(schema['x-kubernetes-validations'] ?? []),
    ...(schema.additionalProperties?.['x-kubernetes-validations'] ?? []),
  ];
  return rules.map(({ message }) => `${message.charAt(0).toUpperCase()}${message.slice(1)}.`);
}

function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll(/(?<!\\)\|/g, '\\|');
}

function rows(path: string, schema: Schema, required: boolean): string[] {
  const fallback =
    schema.default === undefined || JSON.stringify(schema.default) === '{}'
      ? required
        ? 'required'
        : ''
      : `\`${String(schema.default)}\``;
  const about = [schema.description ?? '', ...bounds(schema), ...rulesOf(schema)].filter(
    (part) => part !== '',
  );
  const own = `| \`${path}\` | ${cell(typeOf(schema))} | ${fallback} | ${cell(about.join(' '))} |`;
  const items = schema.items;
  const inner = items?.properties === undefined ? schema : items;
  const innerPath = items?.properties === undefined ? path : `${path}[]`;
  const itemRules = items === undefined ? [] : rulesOf(items);
  const itemRow =
    items !== undefined && itemRules.length > 0
      ? [
          `| \`${path}[]\` | ${cell(typeOf(items))} |  | ${cell([items.description ?? '', ...itemRules].join(' '))} |`,
        ]
      : [];
  return [own, ...itemRow, ...fields(innerPath, inner)];
}

function fields(path: string, schema: Schema): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    rows(`${path}.${name}`, property, schema.required?.includes(name) === true),
  );
}

function kindSection(kind: Kind): string {
  const { resource, shortNames } = kind;
  const table = (path: 'spec' | 'status') => {
    const schema = plainSchema(kind[path]) as Schema;
    return [
      '| field | type | default | |',
      '|---|---|---|---|',
      ...rows(path, schema, path === 'spec' && kind.specRequired),
    ];
  };
  return [
    `## ${resource.kind}`,
    '',
    kind.description,
    '',
    `\`kubectl get ${resource.plural}\`, short ${shortNames.map((name) => `\`${name}\``).join(', ')}; ${
      resource.namespaced ? 'namespaced' : 'cluster-scoped'
    }; in the category \`enxame\`.`,
    '',
    ...kind.rules.flatMap(({ message }) => [`- ${message.charAt(0).toUpperCase()}${message.slice(1)}.`, '']),
    ...table('spec'),
    '',
    ...table('status'),
    '',
    '| column | |',
    '|---|---|',
    ...kind.columns.map(
      ({ name, description, priority }) =>
        `| ${name.toUpperCase()} | ${description}${priority === 1 ? ' With `-o wide`.' : ''} |`,
    ),
    '',
  ].join('\n');
}

/** The reference of all kinds, as Markdown. */
export function apiReference(kinds: readonly Kind[]): string {
  const group = kinds[0]?.resource;
  return [
    '<!-- Made by `npm run generate` from api/. Change the schemas there, not this file. -->',
    `# API reference: ${group?.group}/${group?.version}`,
    '',
    'Kubernetes 1.32 or newer. What is wrong in an object is refused when it is applied, with a message that says what must be.',
    '',
    ...kinds.map(kindSection),
  ].join('\n');
}
