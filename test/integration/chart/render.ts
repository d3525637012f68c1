// The chart as Helm renders it, for tests.
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { IMAGE_REPOSITORY } from '../../../image/build.ts';
import { ensureBinaries } from '../../cluster/binaries.ts';
import { runCommand } from '../../cluster/command.ts';

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

/** Runs Helm and returns what it prints; an error says what Helm says. */
export async function runHelm(args: readonly string[]): Promise<string> {
  const folder = await ensureBinaries({ programs: ['helm'] });
  const { stdout } = await runCommand(join(folder, 'helm'), args);
  return stdout;
}

/** Renders the chart with an image and these values (JSON by path, as --set-json takes them); fails with Helm's own words. */
export async function render(values: Record<string, unknown> = {}, chart = CHART): Promise<Rendered[]> {
  const sets = Object.entries({ 'image.repository': IMAGE_REPOSITORY, ...values }).flatMap(
    ([path, value]) => ['--set-json', `${path}=${JSON.stringify(value)}`],
  );
  const output = await runHelm(['template', 'enxame', chart, '--namespace', NAMESPACE, ...sets]);
  return parseAllDocuments(output)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

/** The one object of a kind and name. */
export function find(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} objects ${kind} ${name}`);
  return found[0]!;
}
