// The generated files: that they are up to date, and that what the API server demands of schemas holds for
// every part of them, so that a mistake shows without a cluster.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { driftedFiles, generatedFiles } from '../../api/generate/main.ts';

const root = join(import.meta.dirname, '..', '..');

test('the files in the repository are what the schemas say', async () => {
  // If this fails: npm run generate
  expect(await driftedFiles(root)).toEqual([]);
});

test('a changed and a missing file are both noticed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'enxame-generate-'));
  try {
    for (const [path, text] of generatedFiles()) {
      if (path === 'crds/nodecontents.yaml') continue;
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), path === 'docs/reference/api.md' ? `${text} ` : text);
    }
    expect(await driftedFiles(folder)).toEqual(['crds/nodecontents.yaml', 'docs/reference/api.md']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('generating twice gives the same text', () => {
  expect([...generatedFiles()]).toEqual([...generatedFiles()]);
});

interface Schema {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: string[];
  format?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  default?: unknown;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: { rule: string; message: string }[];
}

interface Crd {
  metadata: { name: string };
  spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
}

const schemas = [...generatedFiles()]
  .filter(([path]) => path.startsWith('crds/'))
  .flatMap(([, text]) => {
    const crd = parse(text) as Crd;
    const found: [string, Schema][] = [];
    const walk = (path: string, schema: Schema) => {
      found.push([path, schema]);
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        // The API server brings the schemas of these itself.
        if (path === crd.metadata.name && ['apiVersion', 'kind', 'metadata'].includes(name)) continue;
        walk(`${path}.${name}`, property);
      }
      if (schema.items !== undefined) walk(`${path}[]`, schema.items);
      if (typeof schema.additionalProperties === 'object') walk(`${path}{}`, schema.additionalProperties);
    };
    walk(crd.metadata.name, crd.spec.versions[0]!.schema.openAPIV3Schema);
    return found;
  });

describe('every part of the schemas', () => {
  test('is there', () => {
    expect(schemas.length).toBeGreaterThan(150);
  });

  test.each(schemas)('%s', (_path, schema) => {
    expect(schema.description).toMatch(/\.$/);
    if (schema['x-kubernetes-int-or-string'] === true) {
      expect(schema.type).toBeUndefined();
      expect(schema.maxLength).toBeDefined();
    } else {
      expect(['object', 'array', 'string', 'integer', 'boolean']).toContain(schema.type);
    }
    if (schema.type === 'string' && schema.enum === undefined) expect(schema.maxLength).toBeDefined();
    if (schema.type === 'integer') {
      expect(schema.minimum).toBeDefined();
      expect(schema.maximum).toBeDefined();
      expect(schema.format).toBe((schema.maximum ?? 0) > 2 ** 31 - 1 ? 'int64' : 'int32');
    }
    if (schema.type === 'array') {
      expect(schema.maxItems).toBeDefined();
      expect(['map', 'set', 'atomic']).toContain(schema['x-kubernetes-list-type']);
      expect(schema['x-kubernetes-list-type'] === 'map').toBe(
        schema['x-kubernetes-list-map-keys'] !== undefined,
      );
    }
    expect(schema.additionalProperties).not.toBe(false);
    if (schema.additionalProperties !== undefined) expect(schema.maxProperties).toBeDefined();
    for (const { message } of schema['x-kubernetes-validations'] ?? []) expect(message).toMatch(/\bmust\b/);
  });
});
