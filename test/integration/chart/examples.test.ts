// The examples as a user applies them: a real API server takes each as it is, under the Pod Security that its
// words promise, and they name no image that nobody can pull.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { PATIENCE } from '../../patience.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const EXAMPLES = join(ROOT, 'examples');

interface ExampleObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly claim?: { readonly name: string } };
}

let server: ControlPlane;
let files: string[];

const objectsOf = async (file: string): Promise<ExampleObject[]> =>
  parseAllDocuments(await readFile(join(EXAMPLES, file), 'utf8')).map(
    (document) => document.toJS() as ExampleObject,
  );
const dryRun = (file: string) =>
  server.kubectl(['apply', '--dry-run=server', '--filename', join(EXAMPLES, file)]);
const enforce = (level: 'restricted' | 'privileged') =>
  server.kubectl([
    ...['label', 'namespace', 'default', '--overwrite'],
    `pod-security.kubernetes.io/enforce=${level}`,
  ]);

beforeAll(async () => {
  files = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.yaml')).sort();
  server = await startControlPlane();
  await server.kubectl(['apply', '--server-side', '--filename', join(ROOT, 'crds')]);
  await server.kubectl([
    'wait',
    '--for=condition=Established',
    `--timeout=${PATIENCE * 30}s`,
    'crd',
    '--all',
  ]);
  await server.kubectl(['create', 'namespace', 'demo']);
  // No controller makes it here, and no Pod gets in without one.
  await server.kubectl(['create', 'serviceaccount', 'default', '--namespace', 'default']);
});

afterAll(async () => {
  await server?.close();
});

test('the API server takes every one', async () => {
  expect(files.length).toBeGreaterThan(0);
  await enforce('privileged');
  for (const file of files) {
    const taken = await dryRun(file);
    for (const { metadata } of await objectsOf(file)) expect(taken).toContain(`/${metadata.name} created`);
  }
});

test('through a claim content is read in a namespace that enforces "restricted", by host path it is not', async () => {
  await enforce('restricted');
  expect(await dryRun('claim.yaml')).toContain('pod/claim-reader created');
  await expect(dryRun('wait.yaml')).rejects.toMatchObject({
    stderr: expect.stringContaining('violates PodSecurity "restricted'),
  });
});

test('they name an image that whoever applies them must choose, and say how', async () => {
  for (const file of files) {
    const text = await readFile(join(EXAMPLES, file), 'utf8');
    const images = [...text.matchAll(/image: (\S+)/g)].map(([, image]) => image);
    expect(images.filter((image) => image !== 'IMAGE')).toEqual([]);
    const how = `sed "s|IMAGE|registry.example.com/enxame:0.1.0|" examples/${file} | kubectl apply --filename -`;
    expect(text.includes(how)).toBe(images.length > 0);
  }
});

test('Pods name what the distributions beside them make', async () => {
  const [distribution, pod] = ['ContentDistribution', 'Pod'];
  const claim = await objectsOf('claim.yaml');
  const made = claim.find(({ kind }) => kind === distribution)?.spec?.claim?.name;
  expect(made).toBeDefined();
  expect(JSON.stringify(claim.find(({ kind }) => kind === pod)?.spec)).toContain(`"claimName":"${made}"`);
  const waited = (await objectsOf('config-map.yaml')).find(({ kind }) => kind === distribution)?.metadata;
  const waiting = (await objectsOf('wait.yaml')).find(({ kind }) => kind === pod);
  expect(JSON.stringify(waiting?.spec)).toContain(`"${waited?.namespace}/${waited?.name}"`);
});
