// A kind as a CustomResourceDefinition. The text depends on the schemas alone, so that it can be compared.
import type { TSchema } from 'typebox';
import { stringify } from 'yaml';
import type { Kind } from './kinds.ts';

/** JSON of a typebox schema: what it adds for itself is not enumerable and falls away. */
export function plainSchema(schema: TSchema): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema)) as Record<string, unknown>;
}

/** The CustomResourceDefinition of a kind. */
export function customResourceDefinition(kind: Kind): Record<string, unknown> {
  const { resource, shortNames, description, columns, rules } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${resource.plural}.${resource.group}`,
      labels: { 'app.kubernetes.io/name': 'enxame', 'app.kubernetes.io/part-of': 'enxame' },
    },
    spec: {
      group: resource.group,
      scope: resource.namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind: resource.kind,
        listKind: `${resource.kind}List`,
        plural: resource.plural,
        singular: resource.kind.toLowerCase(),
        shortNames,
        categories: ['enxame'],
      },
      versions: [
        {
          name: resource.version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              description,
              type: 'object',
              ...(kind.specRequired ? { required: ['spec'] } : {}),
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: plainSchema(kind.spec),
                status: plainSchema(kind.status),
              },
              ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }),
            },
          },
        },
      ],
    },
  };
}

/** The CustomResourceDefinition as the text of its file under crds/. */
export function customResourceDefinitionYaml(kind: Kind): string {
  const header = '# Made by `npm run generate` from api/. Change the schemas there, not this file.\n';
  return header + stringify(customResourceDefinition(kind), { lineWidth: 110, aliasDuplicateObjects: false });
}
