// An etcd and a kube-apiserver on loopback, for tests of the CRDs alone. The binaries come from the folder
// that ENXAME_BIN_DIR names.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** An API server, and what talks to it. */
export interface ApiServer {
  kubeconfigPath: string;
  kubectlPath: string;
  close(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await once(child, 'exit');
  clearTimeout(hard);
}

/** Starts an API server with an empty etcd; it answers when this resolves. */
export async function startApiServer(): Promise<ApiServer> {
  const bin = process.env.ENXAME_BIN_DIR;
  if (bin === undefined) {
    throw new Error('ENXAME_BIN_DIR must name a folder with etcd, kube-apiserver and kubectl');
  }
  const folder = await mkdtemp(join(tmpdir(), 'enxame-api-server-'));
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const key = join(folder, 'sa.key');
  const tokens = join(folder, 'tokens.csv');
  const kubeconfigPath = join(folder, 'kubeconfig');
  const kubectlPath = join(bin, 'kubectl');
  await run('openssl', ['genrsa', '-out', key, '2048']);
  await writeFile(tokens, 'the-token,admin,admin,system:masters\n');
  await writeFile(
    kubeconfigPath,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        { name: 'a', cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'a', user: { token: 'the-token' } }],
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      'current-context': 'a',
    }),
  );
  const start = (program: string, args: string[]) => spawn(join(bin, program), args, { stdio: 'ignore' });
  const etcd = start('etcd', [
    ...['--data-dir', join(folder, 'etcd'), '--unsafe-no-fsync'],
    ...['--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
    ...['--initial-cluster', `default=${peerUrl}`],
  ]);
  const server = start('kube-apiserver', [
    `--etcd-servers=${etcdUrl}`,
    ...[`--secure-port=${port}`, '--bind-address=127.0.0.1', `--cert-dir=${join(folder, 'certs')}`],
    '--service-account-issuer=https://kubernetes.default.svc',
    ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
    ...[
      '--service-cluster-ip-range=10.96.0.0/16',
      `--token-auth-file=${tokens}`,
      '--authorization-mode=RBAC',
    ],
  ]);
  const close = async () => {
    await stop(server);
    await stop(etcd);
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + 60_000;
  for (;;) {
    const ready = await run(kubectlPath, ['--kubeconfig', kubeconfigPath, 'get', '--raw', '/readyz']).then(
      ({ stdout }) => stdout === 'ok',
      () => false,
    );
    if (ready) return { kubeconfigPath, kubectlPath, close };
    if (server.exitCode !== null || etcd.exitCode !== null || Date.now() > deadline) {
      await close();
      throw new Error('the API server did not come up');
    }
    await delay(250);
  }
}
