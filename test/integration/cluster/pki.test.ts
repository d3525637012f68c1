// The certificates of a cluster: those of one CA trust each other, and what is right is never made anew.
import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import type { KeyPair } from '../../cluster/certificates.ts';
import { ensurePki, kubeconfig, type Pki, type PkiRequest } from '../../cluster/pki.ts';

let request: PkiRequest;
beforeEach(async () => {
  request = {
    folder: await mkdtemp(join(tmpdir(), 'enxame-pki-test-')),
    nodes: [
      { name: 'node-1', address: '127.0.0.1' },
      { name: 'node-2', address: 'fd00:0::2' },
    ],
    apiAddress: '198.18.0.2',
    serviceAddress: '198.19.128.1',
  };
});
afterEach(() => rm(request.folder, { recursive: true, force: true }));

const pairs = (pki: Pki): KeyPair[] => [
  ...[pki.apiServer, pki.kubeletClient, pki.frontProxy],
  ...[pki.admin, pki.controllerManager, pki.scheduler, pki.proxy, ...pki.nodes.values()],
];
const texts = (files: readonly string[]) => Promise.all(files.map((file) => readFile(file, 'utf8')));
const keys = (pki: Pki) => texts([pki.authority, ...pairs(pki)].map(({ key }) => key));

/** A handshake in which each side checks the other; resolves to the client's name as the server sees it. */
async function handshake(pki: Pki, of: KeyPair, client: KeyPair, servername: string): Promise<string> {
  const [ca, cert, key, clientCert, clientKey] = await texts([
    ...[pki.authority.certificate, of.certificate, of.key],
    ...[client.certificate, client.key],
  ]);
  const server = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      server.on('secureConnection', (socket: TLSSocket) => {
        socket.end();
        resolve(String(socket.getPeerCertificate().subject.CN));
      });
      server.on('tlsClientError', reject);
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number };
        connect({ port, host: '127.0.0.1', servername, ca, cert: clientCert, key: clientKey })
          .on('error', reject)
          .resume();
      });
    });
  } finally {
    server.close();
  }
}

test('components trust each other, for the names that they are reached at', async () => {
  const pki = await ensurePki(request);
  expect(await handshake(pki, pki.apiServer, pki.admin, 'kubernetes.default.svc')).toBe('admin');
  const node = pki.nodes.get('node-1')!;
  expect(await handshake(pki, node, pki.kubeletClient, 'node-1')).toBe('kube-apiserver-kubelet-client');
  expect(await handshake(pki, pki.apiServer, node, 'localhost')).toBe('system:node:node-1');
  await expect(handshake(pki, node, pki.admin, 'node-2')).rejects.toThrow(/altnames/);
});

test('asking again changes nothing; a new node changes only itself', async () => {
  const before = await keys(await ensurePki(request));
  const again = await ensurePki(request);
  expect(await keys(again)).toEqual(before);
  const more = [...request.nodes, { name: 'node-3', address: '198.18.0.13' }];
  const after = await keys(await ensurePki({ ...request, nodes: more }));
  expect(after).toHaveLength(before.length + 1);
  expect(after.slice(0, -1)).toEqual(before);
});

test('a certificate that no longer covers its address is made anew, by the same CA', async () => {
  const first = await ensurePki(request);
  const [authority, apiServer, admin] = await texts([
    first.authority.key,
    first.apiServer.key,
    first.admin.key,
  ]);
  const moved = await ensurePki({ ...request, apiAddress: '198.18.0.3' });
  const now = await texts([moved.authority.key, moved.apiServer.key, moved.admin.key]);
  expect([now[0], now[2]]).toEqual([authority, admin]);
  expect(now[1]).not.toBe(apiServer);
  expect(moved.server).toBe('https://198.18.0.3:6443');
});

test('what an interrupted run left in pieces is mended', async () => {
  const { admin, scheduler, authority, proxy } = await ensurePki(request);
  await truncate(admin.certificate, 100);
  await rm(scheduler.key);
  const kept = await readFile(proxy.key, 'utf8');
  const pki = await ensurePki(request);
  expect(await handshake(pki, pki.apiServer, pki.admin, 'localhost')).toBe('admin');
  expect(await handshake(pki, pki.apiServer, pki.scheduler, 'localhost')).toBe('system:kube-scheduler');
  expect(await readFile(proxy.key, 'utf8')).toBe(kept);
  // Without its CA everything is made anew.
  await rm(authority.key);
  const fresh = await ensurePki(request);
  expect(await handshake(fresh, fresh.apiServer, fresh.proxy, 'localhost')).toBe('system:kube-proxy');
  expect(await readFile(proxy.key, 'utf8')).not.toBe(kept);
});

test('a kubeconfig holds all it needs', async () => {
  const pki = await ensurePki({ ...request, clusterName: 'enxame-test' });
  const config = new KubeConfig();
  config.loadFromString(await kubeconfig(pki, { server: 'https://127.0.0.1:12345', user: pki.admin }));
  expect(config.getCurrentContext()).toBe('enxame-test');
  expect(config.getCurrentCluster()?.server).toBe('https://127.0.0.1:12345');
  const decoded = (text: string | undefined) => Buffer.from(text ?? '', 'base64').toString();
  const [authority, key] = await texts([pki.authority.certificate, pki.admin.key]);
  expect(decoded(config.getCurrentCluster()?.caData)).toBe(authority);
  expect(decoded(config.getCurrentUser()?.keyData)).toBe(key);
});
