/**
 * `npm run demo`: from nothing to content on every node of a real cluster, with a comparison of every file at
 * the end. The cluster stays up. A run copes with whatever an earlier one left, at whatever moment it ended.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuiltImage, buildImage } from '../../image/build.ts';
import { Cluster } from '../cluster/cluster.ts';
import { acquireLock } from '../cluster/lock.ts';
import { ApiServer } from './api-server.ts';
import { compare, MAX_READS, wrongReads } from './comparison.ts';
import { type DemoFile, EXAMPLE, layOut } from './content.ts';
import { install, loadImage } from './installation.ts';
import { follow } from './progress.ts';
import { bytesServed, DEMO_NAMESPACE, startSource } from './source.ts';
import { bold, megabytes, phase, red, say } from './terminal.ts';

const CLUSTER = 'enxame-demo';
const NODES = 3;
const DISTRIBUTION = 'programs';
const EXAMPLES = join(EXAMPLE, '..');
const SMALL_EXAMPLES = ['config-map.yaml', 'claim.yaml'].map((name) => join(EXAMPLES, name));
const TRANSFER_SECONDS = 300;
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Removes what an earlier run distributed, so that it is read and copied anew. What others made stays. */
async function removeEarlier(cluster: Cluster): Promise<void> {
  const names = ['delete', 'contentdistribution', '--ignore-not-found', '--timeout=90s'];
  const there = await cluster.kubectl(['get', 'contentdistributions', '--all-namespaces', '--output=name']);
  if (there.includes(`/${DISTRIBUTION}\n`))
    say('  an earlier run is there: its distributions are deleted first');
  await cluster.kubectl(['delete', 'pod', 'claim-reader', '--ignore-not-found', '--now']);
  await cluster.kubectl([...names, DISTRIBUTION, '--namespace', DEMO_NAMESPACE]);
  await cluster.kubectl([...names, 'greeting', 'motd', '--namespace', 'default']);
}

/** @returns seconds from apply to Ready */
async function distribute(cluster: Cluster, api: ApiServer, totalBytes: number): Promise<number> {
  const started = Date.now();
  await cluster.kubectl(['apply', '--filename', EXAMPLE]);
  await follow(api, DEMO_NAMESPACE, DISTRIBUTION, { totalBytes, seconds: TRANSFER_SECONDS });
  return (Date.now() - started) / 1000;
}

/** Small content for everybody, and a Pod that reads it through a claim. */
async function applyExamples(cluster: Cluster, image: string): Promise<void> {
  for (const path of SMALL_EXAMPLES) {
    const objects = (await readFile(path, 'utf8')).replaceAll(/\bimage: IMAGE$/gm, `image: ${image}`);
    await cluster.kubectl(['apply', '--filename', '-'], objects);
  }
  const both = ['contentdistribution/greeting', 'contentdistribution/motd'];
  await cluster.kubectl(['wait', '--for=condition=Ready', ...both, '--timeout=120s']);
  const succeeded = '--for=jsonpath={.status.phase}=Succeeded';
  await cluster.kubectl(['wait', succeeded, 'pod/claim-reader', '--timeout=150s']);
  say(`  examples/claim.yaml: the Pod printed "${(await cluster.kubectl(['logs', 'claim-reader'])).trim()}"`);
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

async function makeImage(): Promise<BuiltImage> {
  const image = await buildImage();
  say(`  ${image.name}, ${megabytes(image.archiveBytes)}`);
  return image;
}

/** Everything on a cluster that is up. @returns what is wrong in the end */
async function demoOn(cluster: Cluster, image: BuiltImage, api: ApiServer): Promise<string[]> {
  const hasOlderPods = await phase('The image onto every node', () => loadImage(cluster, image));
  await phase('The chart', async () => {
    await install(cluster, image, hasOlderPods);
    await removeEarlier(cluster);
  });
  const files: readonly DemoFile[] = await phase('A web server with real files', async () => {
    const folder = join(cluster.layout.folder, 'demo');
    const laidOut = await layOut(cluster, folder);
    await startSource(cluster, image.name, folder);
    return laidOut;
  });
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const title = `${files.length} files, ${megabytes(totalBytes)}, to ${NODES} nodes (examples/demo.yaml)`;
  const seconds = await phase(title, () => distribute(cluster, api, totalBytes));
  await phase('The small examples', () => applyExamples(cluster, image.name));
  const wrong = await phase('Every file on every node, compared with the source', () =>
    compare(cluster, `${DEMO_NAMESPACE}/${DISTRIBUTION}`, files),
  );
  const reads = (await bytesServed(api)) / totalBytes;
  say();
  say(bold('$ kubectl get contentdistributions --all-namespaces'));
  say(await cluster.kubectl(['get', 'contentdistributions', '--all-namespaces']));
  const rate = megabytes((NODES * totalBytes) / seconds);
  say(`apply → Ready: ${seconds.toFixed(1)} s for ${NODES} × ${megabytes(totalBytes)} (${rate}/s in all)`);
  say(`The source was read ${reads.toFixed(3)} times (bytes served ÷ size; at most ${MAX_READS}).`);
  const tooOften = wrongReads(reads);
  return tooOften === undefined ? wrong : [...wrong, tooOften];
}

/** @returns the exit code */
async function demo(): Promise<number> {
  const started = Date.now();
  const log = (line: string) => say(`  ${line}`);
  const cluster = new Cluster(CLUSTER, log);
  const [image] = await phase(`A Kubernetes with ${NODES} nodes, and the image`, () =>
    Promise.all([makeImage(), cluster.up({ nodes: NODES })]),
  );
  const doing = { log, doing: 'shows the demo' };
  const release = await acquireLock(join(cluster.layout.folder, 'demo.lock'), doing);
  const api = new ApiServer(cluster.kubeconfigPath);
  try {
    const wrong = await demoOn(cluster, image, api);
    say(`The demo took ${((Date.now() - started) / 1000).toFixed(0)} s.`);
    sayHowToGoOn(cluster);
    if (wrong.length === 0) return 0;
    say(red('\nThe demo failed:'));
    for (const line of wrong) say(red(`  ${line}`));
    return 1;
  } finally {
    await api.close();
    await release();
  }
}

const left = `The cluster is left as it is: npm run demo goes on with it, npm run cluster -- down --name ${CLUSTER} removes it.`;
for (const [signal, code] of Object.entries(SIGNAL_EXIT_CODES))
  process.once(signal, () => {
    process.stderr.write(`\ndemo: interrupted. ${left}\n`);
    process.exit(code);
  });
try {
  process.exitCode = await demo();
} catch (error) {
  process.stderr.write(`\ndemo: ${(error as Error).message}\n${left}\n`);
  process.exitCode = 1;
}
