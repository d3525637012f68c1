// An agent as a process of its own, so that a test can kill it: what it sees of the cluster comes as JSON, how it
// goes is printed as JSON, a line each.
import { mkdir } from 'node:fs/promises';
import type { ContentRevision } from '../../api/index.ts';
import { FakeCluster } from './fake-cluster.ts';
import { runTestAgent } from './harness.ts';

/** What the process is started with, as its only argument. */
export interface ProcessSettings {
  name: string;
  root: string;
  trackers: string[];
  objects: ContentRevision[];
}

/** What it prints, ten times a second. */
export interface ProcessReport {
  /** Of the first revision. */
  phase: string;
  active: boolean;
  piecesHave: number;
  /** Payload that was of use. */
  usefulBytes: number;
}

const settings = JSON.parse(process.argv[2] ?? '') as ProcessSettings;
await mkdir(settings.root, { recursive: true });
const cluster = new FakeCluster(settings.name);
cluster.revisionObjects = settings.objects;
cluster.trackerNames = settings.trackers;
const { agent } = await runTestAgent(cluster, { root: settings.root });
const timer = setInterval(() => {
  const [transfer] = agent.engine.transfers;
  const { downloadedBytes, wastedBytes } = agent.engine.totals();
  const report: ProcessReport = {
    phase: transfer?.state.phase ?? '',
    active: agent.engine.status()[0]?.active ?? false,
    piecesHave: transfer?.progress()?.piecesHave ?? 0,
    usefulBytes: downloadedBytes - wastedBytes,
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}, 100);
process.once('SIGTERM', () => {
  clearInterval(timer);
  void agent.close();
});
