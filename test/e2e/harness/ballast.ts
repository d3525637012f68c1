/**
 * Distributions that stay while the tests run. Agents take it for an accident when a list lacks most of what they hold,
 * and wait for a person; tests delete much while agents are away, and must not be most of what there is.
 */
import { API_VERSION, CONTENT_DISTRIBUTION } from '../../../api/index.ts';
import { PATIENCE } from '../../patience.ts';
import type { ChartTarget } from './chart.ts';

export const BALLAST_NAMESPACE = 'e2e-ballast';
const COUNT = 8;

/** Makes them; they become ready while the tests run. */
export async function applyBallast({ kubectl }: Pick<ChartTarget, 'kubectl'>): Promise<void> {
  const namespace = BALLAST_NAMESPACE;
  const names = Array.from({ length: COUNT }, (_, index) => `ballast-${index + 1}`);
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    ...names.map((name) => ({
      ...{ apiVersion: 'v1', kind: 'ConfigMap' },
      ...{ metadata: { name, namespace }, data: { 'content.txt': name } },
    })),
    ...names.map((name) => ({
      ...{ apiVersion: API_VERSION, kind: CONTENT_DISTRIBUTION.kind },
      ...{ metadata: { name, namespace }, spec: { source: { configMap: { name } } } },
    })),
  ];
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(['apply', '--filename', '-'], JSON.stringify(list));
  const all = ['contentdistributions', '--all', '--namespace', namespace];
  await kubectl(['wait', '--for=condition=Ready', ...all, `--timeout=${PATIENCE * 180}s`]);
}
