// The chart as Helm renders it, for tests.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';

const run = promisify(execFile);

export const CHART = join(import.meta.dirname, '..', '..', '..', 'charts', 'enxame');
export const NAMESPACE = 'enxame-system';

/** An object of the chart. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
  };
  readonly [part: string]: unknown;
}

/** Renders the chart with values (JSON by path, as --set-json takes them); fails with Helm's own words. */
export async function render(helm: string, values: Record<string, unknown> = {}): Promise<Rendered[]> {
  const sets = Object.entries(values).flatMap(([path, value]) => [
    '--set-json',
    `${path}=${JSON.stringify(value)}`,
  ]);
  const { stdout } = await run(helm, ['template', 'enxame', CHART, '--namespace', NAMESPACE, ...sets], {
    maxBuffer: 32 * 1024 * 1024,
  });
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

/** The one object of a kind and name. */
export function find(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} objects ${kind} ${name}`);
  return found[0]!;
}
