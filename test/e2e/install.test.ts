// The README, word by word: what it says removes everything, and from that state on everything that it says of
// installing, and every example, works. It runs last: what the other tests were installed with is gone after it.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { VERSION } from '../../cli/version.ts';
import { DEMO_NAMESPACE, startSource } from '../demo/source.ts';
import { CHART, everythingReady, SYSTEM_NAMESPACE } from './harness/chart.ts';
import { disconnect, kubectl, ownCluster } from './harness/environment.ts';
import { nodeNames } from './harness/nodes.ts';
import { image } from './harness/pods.ts';
import { until } from './harness/until.ts';
import { commandsOf, commandsOfExample, REGISTRY, UserShell } from './harness/user-shell.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'examples');
const TIMEOUT_MILLISECONDS = 900_000;

/** The one server of the examples that no test can reach; the demo's answers in its place. */
const ELSEWHERE = /https:\/\/nodejs\.org\/dist\/[^/\s]+\//g;
const IN_ITS_PLACE = `http://source.${DEMO_NAMESPACE}.svc:8080/files/`;

/** Everything in a namespace that somebody may have made. */
const KINDS = [
  'pods,deployments,daemonsets,services,serviceaccounts,roles,rolebindings,configmaps,secrets',
  'poddisruptionbudgets,leases',
].join(',');
/** What every namespace has. */
const OF_EVERY_NAMESPACE = ['configmap/kube-root-ca.crt', 'serviceaccount/default'];

const describeOwn = ownCluster === undefined ? describe.skip : describe;

let shell: UserShell;
let readme: string;

const inSystemNamespace = async () =>
  (await kubectl(['-n', SYSTEM_NAMESPACE, 'get', KINDS, '-o', 'name'])).split('\n').filter(Boolean).sort();

/** What the shell says against a line. */
async function refusal(line: string, env?: NodeJS.ProcessEnv): Promise<string> {
  const output = await shell.run(line, env).then(
    () => undefined,
    (error: { stderr: string }) => error.stderr,
  );
  if (output === undefined) throw new Error(`nothing was said against ${line}`);
  return output;
}

beforeAll(async () => {
  readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  if (ownCluster === undefined) return;
  shell = await UserShell.open(ownCluster);
  await shell.checkOut((text) => text.replaceAll(ELSEWHERE, IN_ITS_PLACE));
}, TIMEOUT_MILLISECONDS);

afterAll(async () => {
  if (shell !== undefined) {
    const transcript = join(ROOT, 'build', 'installation.txt');
    await mkdir(join(ROOT, 'build'), { recursive: true });
    await writeFile(transcript, shell.transcript.join(''));
    await shell.close();
  }
  await disconnect();
});

describeOwn('the README', () => {
  test(
    'removes everything, files on the nodes included',
    async () => {
      const commands = commandsOf(readme, 'Remove it');
      expect(commands).toHaveLength(4);
      const [distributions, release, kinds, namespace] = commands as [string, string, string, string];
      await shell.run(distributions);
      for (const node of await nodeNames()) {
        const find = ['find', '/var/lib/enxame/content', '/var/lib/enxame/staging', '-type', 'f'];
        expect((await ownCluster!.nodeExec(node, find)).stdout).toBe('');
        await until(
          `what held content on ${node} is gone too`,
          () => ownCluster!.nodeExec(node, ['find', '/var/lib/enxame/content', '-mindepth', '1']),
          ({ stdout }) => stdout === '',
        );
      }
      await shell.run(release);
      await until('everything of the release is gone', inSystemNamespace, (names) => names.length <= 2);
      expect(await inSystemNamespace()).toEqual(OF_EVERY_NAMESPACE);
      const clusterKinds = [
        'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings',
        'flowschemas,prioritylevelconfigurations,persistentvolumes',
      ].join(',');
      const left = await kubectl(['get', clusterKinds, '-o', 'name']);
      expect(left.split('\n').filter((name) => name.includes('enxame'))).toEqual([]);
      await shell.run(kinds);
      await shell.run(namespace);
      expect(await kubectl(['get', 'crd,namespaces', '-o', 'name'])).not.toMatch(/enxame/);
    },
    TIMEOUT_MILLISECONDS,
  );

  const install = `helm install enxame charts/enxame --namespace ${SYSTEM_NAMESPACE}`;
  const withImage = `--set image.repository=${REGISTRY}/enxame`;

  test('installs nothing without an image, and says in one sentence what is missing', async () => {
    expect(await refusal(`${install} --create-namespace`)).toMatch(
      /^Error: INSTALLATION FAILED: [^\n]*image\.repository is not set: push the image [^\n]+\n/,
    );
  });

  test('installs nothing where agents could not run, and says what to do', async () => {
    const namespace = 'enforced';
    await kubectl(['create', 'namespace', namespace]);
    await kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=baseline']);
    const line = install.replace(SYSTEM_NAMESPACE, namespace);
    expect(await refusal(`${line} ${withImage}`)).toMatch(
      /^Error: INSTALLATION FAILED: [^\n]*namespace enforced enforces Pod Security baseline[^\n]+kubectl label namespace enforced [^\n]+\n/,
    );
    await kubectl(['delete', 'namespace', namespace]);
  });

  test('installs nothing for a user who may not, and leaves nothing of it', async () => {
    const namespace = 'of-a-user';
    await kubectl(['create', 'namespace', namespace]);
    await kubectl(['create', 'serviceaccount', 'user', '--namespace', namespace]);
    const binding = [
      'create',
      'rolebinding',
      'user',
      '--clusterrole=admin',
      `--serviceaccount=${namespace}:user`,
    ];
    await kubectl([...binding, '--namespace', namespace]);
    const line = install.replace(SYSTEM_NAMESPACE, namespace);
    const said = await refusal(`${line} ${withImage} --kube-as-user system:serviceaccount:${namespace}:user`);
    expect(said).toMatch(
      /^Error: INSTALLATION FAILED: [^\n]*is forbidden: User [^\n]*cannot get resource[^\n]*\n/,
    );
    const left = await kubectl(['get', `${KINDS}`, '--namespace', namespace, '-o', 'name']);
    expect(left.split('\n').filter((name) => name.includes('enxame'))).toEqual([]);
    await kubectl(['delete', 'namespace', namespace]);
  });

  test(
    'shows an image that cannot be pulled, by the command in the notes',
    async () => {
      const { stdout } = await shell.run(
        `${install} --create-namespace ${withImage} --set image.tag=missing`,
      );
      const command = stdout.split('\n').find((line) => line.includes(' get events '));
      expect(command).toBeDefined();
      await until(
        'the events name the image',
        async () => (await shell.run(command!.trim())).stdout,
        (text) => /Failed to pull image "registry\.example\.com\/enxame:missing"/.test(text),
        120,
      );
      await shell.run(`helm uninstall enxame --namespace ${SYSTEM_NAMESPACE} --wait`);
      await shell.run(
        'kubectl delete crd contentdistributions.enxame.dev contentrevisions.enxame.dev nodecontents.enxame.dev',
      );
      await shell.run(`kubectl delete namespace ${SYSTEM_NAMESPACE}`);
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'installs it, from this folder and as a chart in a registry, and distributes its first content',
    async () => {
      const commands = commandsOf(readme, 'Install it');
      expect(commands.length).toBeGreaterThanOrEqual(8);
      for (const command of commands) await shell.run(command);
      await everythingReady({ kubectl });
      expect(await image()).toBe(`${REGISTRY}/enxame:0.1.0`);
      const chart = await shell.run(`helm list --namespace ${SYSTEM_NAMESPACE} --output json`);
      expect(JSON.parse(chart.stdout)).toMatchObject([{ name: 'enxame', chart: `enxame-${VERSION}` }]);
      expect(await readFile(join(CHART, 'Chart.yaml'), 'utf8')).toContain(`version: ${VERSION}\n`);
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'and every example works as its own words say',
    async () => {
      // What examples/demo.yaml and, here, examples/http.yaml read from.
      const folder = join(ownCluster!.layout.folder, 'source');
      await mkdir(folder, { recursive: true });
      const files = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.yaml')).sort();
      const examples = new Map<string, string>();
      for (const name of files) examples.set(name, await readFile(join(EXAMPLES, name), 'utf8'));
      for (const [, url] of [...examples.values()].join('\n').matchAll(/^\s*url: (\S+)$/gm))
        await writeFile(join(folder, url!.slice(url!.lastIndexOf('/') + 1)), `what is at ${url}\n`);
      await startSource(ownCluster!, await image(), folder);

      const printed = new Map<string, string>();
      for (const [name, text] of examples) {
        const commands = commandsOfExample(text);
        expect({ name, commands: commands.length }).not.toEqual({ name, commands: 0 });
        for (const command of commands) printed.set(name, (await shell.run(command)).stdout);
      }
      expect(printed.get('claim.yaml')).toBe('Read through a claim.\n\n');
      expect(printed.get('wait.yaml')).toBe('Hello from every node.\n\n');
      expect(printed.get('http.yaml')).toMatch(/^node-sources +True /m);
    },
    TIMEOUT_MILLISECONDS,
  );
});
