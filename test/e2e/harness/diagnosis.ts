/** What a person would look at first when a scenario failed. */
import { SYSTEM_NAMESPACE } from './chart.ts';
import { kubectl } from './environment.ts';

const LOG_LINES = 60;

/** Best effort: what cannot be had says why. */
async function section(title: string, args: readonly string[]): Promise<string> {
  const text = await kubectl(args).catch((error: Error) => `(${error.message})`);
  return `\n── ${title}\n${text.trimEnd()}\n`;
}

/** Objects, events and the logs since a moment. */
export async function diagnose(namespace: string, since: Date): Promise<string> {
  const logs = (component: string) => [
    ...['-n', SYSTEM_NAMESPACE, 'logs', `--selector=app.kubernetes.io/component=${component}`, '--prefix'],
    ...[`--since-time=${since.toISOString()}`, `--tail=${LOG_LINES}`],
  ];
  const parts = await Promise.all([
    section('objects', ['-n', namespace, 'get', 'cdist,crev,pods,pvc', '-o', 'wide']),
    section('distributions', ['-n', namespace, 'get', 'cdist', '-o', 'yaml', '--show-managed-fields=false']),
    section('events', ['-n', namespace, 'events']),
    section('Enxame', ['-n', SYSTEM_NAMESPACE, 'get', 'pods', '-o', 'wide']),
    section('NodeContents', ['get', 'nodecontents', '-o', 'yaml']),
    section('operator', logs('operator')),
    section('agents', logs('agent')),
    section('trackers', logs('tracker')),
    section('publishers', [
      ...['-n', namespace, 'logs', '--selector=app.kubernetes.io/component=publisher', '--prefix'],
      `--tail=${LOG_LINES}`,
    ]),
  ]);
  return parts.join('');
}
