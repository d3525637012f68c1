/**
 * `npm run demo`: from nothing to content on every node of a real cluster, with a comparison of every file at
 * the end. The cluster stays up.
 */
import { join } from 'node:path';
import { buildImage } from '../../image/build.ts';
import { Cluster } from '../cluster/cluster.ts';
import { CHART, installChart } from '../e2e/harness/chart.ts';
import { type DemoFile, EXAMPLE, hashesOn, layOut } from './content.ts';
import { follow } from './progress.ts';
import { bytesServed, DEMO_NAMESPACE, startSource } from './source.ts';
import { bold, green, megabytes, phase, red, say } from './terminal.ts';

const CLUSTER = 'enxame-demo';
const NODES = 3;
const DISTRIBUTION = 'programs';
const EXAMPLES = join(EXAMPLE, '..');
/** The source may be read this often, no more: what was cut off in the middle is read again from there. */
const MAX_READS = 1.01;
const TRANSFER_SECONDS = 300;

/** Removes what an earlier run of the demo left: its content is to be distributed anew. */
async function removeEarlier(cluster: Cluster): Promise<void> {
  const all = ['contentdistributions', '--all', '--all-namespaces', '--timeout=60s'];
  await cluster.kubectl(['delete', ...all]);
  await cluster.kubectl(['delete', 'pod', 'claim-reader', '--ignore-not-found', '--now']);
}

/** @returns seconds from apply to Ready */
async function distribute(cluster: Cluster, totalBytes: number): Promise<number> {
  const started = Date.now();
  await cluster.kubectl(['apply', '--filename', EXAMPLE]);
  await follow(cluster, DEMO_NAMESPACE, DISTRIBUTION, { totalBytes, seconds: TRANSFER_SECONDS });
  return (Date.now() - started) / 1000;
}

/** Small content for everybody, and a Pod that reads it through a claim. */
async function applyExamples(cluster: Cluster): Promise<void> {
  for (const name of ['config-map.yaml', 'claim.yaml'])
    await cluster.kubectl(['apply', '--filename', join(EXAMPLES, name)]);
  const all = ['contentdistributions', '--all', '--all-namespaces', '--timeout=120s'];
  await cluster.kubectl(['wait', '--for=condition=Ready', ...all]);
  const succeeded = '--for=jsonpath={.status.phase}=Succeeded';
  await cluster.kubectl(['wait', succeeded, 'pod/claim-reader', '--timeout=150s']);
  say(`  examples/claim.yaml: the Pod printed "${(await cluster.kubectl(['logs', 'claim-reader'])).trim()}"`);
}

/** Compares every file on every node with the source's. @returns whether all are equal */
async function compare(cluster: Cluster, files: readonly DemoFile[]): Promise<boolean> {
  const nodes = await cluster.nodeNames();
  const found = await Promise.all(
    nodes.map((node) => hashesOn(cluster, node, `${DEMO_NAMESPACE}/${DISTRIBUTION}`, files)),
  );
  let areEqual = true;
  say(
    `  ${'file'.padEnd(16)} ${'size'.padStart(8)}  ${'SHA-256 at the source'.padEnd(64)}  ${nodes.join('  ')}`,
  );
  for (const { path, sizeBytes, sha256 } of files) {
    const marks = found.map((hashes, index) => {
      const isEqual = hashes.get(path) === sha256;
      areEqual &&= isEqual;
      const text = (isEqual ? 'equal' : 'DIFFERS').padEnd(nodes[index]!.length);
      return isEqual ? green(text) : red(text);
    });
    say(`  ${path.padEnd(16)} ${megabytes(sizeBytes).padStart(8)}  ${sha256}  ${marks.join('  ')}`);
  }
  return areEqual;
}

function sayHowToGoOn(cluster: Cluster): void {
  say();
  say(bold('The cluster stays up. Look around:'));
  say(`  export KUBECONFIG=${cluster.kubeconfigPath}`);
  say(`  export ENXAME_CLUSTER=${CLUSTER}        # for npm run kubectl and npm run helm`);
  say('  npm run kubectl -- get contentdistributions,contentrevisions --all-namespaces');
  say('  npm run kubectl -- get nodecontents');
  say(`  npm run kubectl -- describe contentdistribution ${DISTRIBUTION} --namespace ${DEMO_NAMESPACE}`);
  say('  npm run kubectl -- --namespace enxame-system get pods');
  say('Remove it:');
  say(`  npm run cluster -- down --name ${CLUSTER}`);
}

async function demo(): Promise<boolean> {
  const started = Date.now();
  const cluster = new Cluster(CLUSTER, (line) => say(`  ${line}`));
  await phase(`A Kubernetes with ${NODES} nodes`, () => cluster.up({ nodes: NODES }));
  const image = await phase('The image, onto every node', async () => {
    const built = await buildImage();
    say(`  ${built.name}, ${megabytes(built.archiveBytes)}`);
    await cluster.load(built.archive);
    return built.name;
  });
  await phase('The chart', async () => {
    await installChart(cluster, CHART);
    await removeEarlier(cluster);
  });
  const files = await phase('A web server with real files', async () => {
    const folder = join(cluster.layout.folder, 'demo');
    const laidOut = await layOut(cluster, folder);
    await startSource(cluster, image, folder);
    return laidOut;
  });
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const title = `${files.length} files, ${megabytes(totalBytes)}, to ${NODES} nodes`;
  const seconds = await phase(title, () => distribute(cluster, totalBytes));
  await phase('The small examples', () => applyExamples(cluster));
  const areEqual = await phase('Every file on every node, compared with the source', () =>
    compare(cluster, files),
  );
  const reads = (await bytesServed(cluster)) / totalBytes;
  say();
  say(bold('$ kubectl get contentdistributions --all-namespaces'));
  say(await cluster.kubectl(['get', 'contentdistributions', '--all-namespaces']));
  const rate = megabytes((NODES * totalBytes) / seconds);
  say(`apply → Ready: ${seconds.toFixed(1)} s for ${NODES} × ${megabytes(totalBytes)} (${rate}/s in all)`);
  say(`The source was read ${reads.toFixed(3)} times (bytes served ÷ size; at most ${MAX_READS}).`);
  say(`The demo took ${((Date.now() - started) / 1000).toFixed(0)} s.`);
  sayHowToGoOn(cluster);
  if (!areEqual) say(red('\nFiles differ from the source: see the table above.'));
  if (reads > MAX_READS) say(red(`\nThe source was read ${reads.toFixed(3)} times, more than ${MAX_READS}.`));
  return areEqual && reads <= MAX_READS;
}

try {
  process.exitCode = (await demo()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`\ndemo: ${(error as Error).message}\n`);
  process.stderr.write(
    `The cluster is left as it is; npm run cluster -- down --name ${CLUSTER} removes it.\n`,
  );
  process.exitCode = 1;
}
