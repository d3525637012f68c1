// An agent that ends in mid-download, in good order and not: the next one asks for no piece again.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from '@jest/globals';
import type { ContentRevision } from '../../api/index.ts';
import { parseMetainfo } from '../../torrent/index.ts';
import { decodeResume } from '../../torrent/storage/resume/resume.ts';
import { until } from '../base/until.ts';
import type { ProcessReport, ProcessSettings } from './agent-process.ts';
import { UID } from './fake-cluster.ts';
import { temporaryFolder } from './harness.ts';
import { World } from './world.ts';

const SIZE = 3 * 1024 ** 2;

class AgentProcess {
  readonly process: ChildProcess;
  report: ProcessReport = { phase: '', active: false, piecesHave: 0, usefulBytes: 0 };
  #errors = '';

  constructor(settings: ProcessSettings) {
    this.process = spawn(
      process.execPath,
      ['--no-warnings', join(import.meta.dirname, 'agent-process.ts'), JSON.stringify(settings)],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.report = JSON.parse(line) as ProcessReport;
    });
    this.process.stderr!.on('data', (data) => {
      this.#errors += data;
    });
  }

  async until(condition: (report: ProcessReport) => boolean): Promise<void> {
    await until(
      () => `${JSON.stringify(this.report)}\n${this.#errors}`,
      () => condition(this.report),
      40,
    );
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.kill(signal);
    await ended;
  }
}

let world: World;
const processes: AgentProcess[] = [];
afterEach(async () => {
  for (const each of processes.splice(0)) await each.end('SIGKILL');
  await world.close();
});

function start(root: string, object: ContentRevision): AgentProcess {
  const settings = { name: 'b', root, trackers: [world.trackerAddress], objects: [object] };
  const started = new AgentProcess(settings);
  processes.push(started);
  return started;
}

async function publishSlowly(): Promise<{ bytes: Buffer; object: ContentRevision }> {
  world = await World.open(['a']);
  const bytes = randomBytes(SIZE);
  const object = await world.distribute('a', [{ path: 'file', bytes }], {
    spec: { limits: { download: '1500k' } },
  });
  return { bytes, object };
}

test('SIGKILL: goes on with what is verified, of which it asks for nothing again', async () => {
  const { bytes, object } = await publishSlowly();
  const root = await temporaryFolder();
  const first = start(root, object);
  const halfWay = SIZE / object.spec.pieceLength / 2;
  await first.until(({ piecesHave }) => piecesHave >= halfWay);
  await first.end('SIGKILL');
  const { piecesHave } = first.report;

  const second = start(root, object);
  await second.until(({ active }) => active);
  const kept = piecesHave * object.spec.pieceLength;
  expect(second.report.usefulBytes).toBeLessThanOrEqual(SIZE - kept);
  expect((await readFile(join(root, 'by-name/ml/model/current/file'))).equals(bytes)).toBe(true);
});

test('SIGTERM: saves which pieces are verified, so that the next one does not even hash them', async () => {
  const { bytes, object } = await publishSlowly();
  const root = await temporaryFolder();
  const first = start(root, object);
  await first.until(({ piecesHave }) => piecesHave >= 4);
  await first.end('SIGTERM');
  expect(first.process.exitCode).toBe(0);

  const state = join(root, 'state', 'content', UID, object.spec.revision);
  const metainfo = parseMetainfo(await readFile(`${state}.torrent`));
  const resume = decodeResume(metainfo, await readFile(`${state}.resume`));
  expect(resume?.have.count).toBeGreaterThanOrEqual(first.report.piecesHave);
  expect(resume?.stamps[0]).toBeDefined();

  const second = start(root, object);
  await second.until(({ active }) => active);
  const kept = (resume?.have.count ?? 0) * object.spec.pieceLength;
  expect(second.report.usefulBytes).toBeLessThanOrEqual(SIZE - kept);
  expect((await readFile(join(root, 'by-name/ml/model/current/file'))).equals(bytes)).toBe(true);
});
