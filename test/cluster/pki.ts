/**
 * Who is who in a cluster: one CA, and a certificate and kubeconfig for each component, in one folder. Asking
 * again changes nothing that is still right, so programs that run keep working.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  ensureKeyPair,
  ensureSigningKey,
  type KeyPair,
  keyPair,
  type Subject,
  writeWhole,
} from './certificates.ts';

/** What the certificates must cover. */
export interface PkiRequest {
  /** Where everything is put; made if it is missing. */
  readonly folder: string;
  /** The nodes and the address of each. */
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  /** The address at which components reach the API server. */
  readonly apiAddress: string;
  /** 6443 by default. */
  readonly apiPort?: number;
  /** The first address of the range of Services, at which Pods reach the API server. */
  readonly serviceAddress: string;
  /** The context's name in the kubeconfigs. */
  readonly clusterName?: string;
}

/** A client of the API server: its certificate and a kubeconfig that uses it. */
interface Identity extends KeyPair {
  readonly kubeconfig: string;
}

/** Paths of everything, all in one folder. */
export interface Pki {
  readonly folder: string;
  /** Of the API server, as components reach it. */
  readonly server: string;
  readonly clusterName: string;
  readonly authority: KeyPair;
  readonly serviceAccounts: { readonly privateKey: string; readonly publicKey: string };
  readonly apiServer: KeyPair;
  /** With which the API server speaks to kubelets. */
  readonly kubeletClient: KeyPair;
  /** With which the API server speaks to extension API servers for others. */
  readonly frontProxy: KeyPair;
  /** Of the group system:masters. */
  readonly admin: Identity;
  readonly controllerManager: Identity;
  readonly scheduler: Identity;
  readonly proxy: Identity;
  /** By name; a node's certificate is its kubelet's server certificate too. */
  readonly nodes: ReadonlyMap<string, Identity>;
}

/** The common name that extension API servers accept user names from. */
export const FRONT_PROXY_NAME = 'front-proxy-client';

/**
 * Makes sure that all keys, certificates and kubeconfigs are there, and makes what is missing, has come near
 * its end or does not cover what is asked for.
 *
 * @throws {ClusterError} CommandFailed if openssl fails
 */
export async function ensurePki(request: PkiRequest): Promise<Pki> {
  const { folder, apiAddress, apiPort = 6443, serviceAddress, clusterName = 'enxame' } = request;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const identity = (name: string): Identity => ({
    ...keyPair(folder, name),
    kubeconfig: join(folder, `${name}.kubeconfig`),
  });
  const pki: Pki = {
    folder,
    server: `https://${apiAddress.includes(':') ? `[${apiAddress}]` : apiAddress}:${apiPort}`,
    clusterName,
    authority: keyPair(folder, 'ca'),
    serviceAccounts: { privateKey: join(folder, 'sa.key'), publicKey: join(folder, 'sa.pub') },
    apiServer: keyPair(folder, 'apiserver'),
    kubeletClient: keyPair(folder, 'kubelet-client'),
    frontProxy: keyPair(folder, 'front-proxy'),
    admin: identity('admin'),
    controllerManager: identity('controller-manager'),
    scheduler: identity('scheduler'),
    proxy: identity('proxy'),
    nodes: new Map(request.nodes.map(({ name }) => [name, identity(name)])),
  };
  const names = ['', '.default', '.default.svc', '.default.svc.cluster.local'].map(
    (end) => `kubernetes${end}`,
  );
  const addresses = new Set(['127.0.0.1', apiAddress, serviceAddress]);
  const pairs: [KeyPair, Subject][] = [
    [pki.apiServer, { commonName: 'kube-apiserver', names: [...names, 'localhost', ...addresses] }],
    [pki.kubeletClient, { commonName: 'kube-apiserver-kubelet-client', organization: 'system:masters' }],
    [pki.frontProxy, { commonName: FRONT_PROXY_NAME }],
  ];
  const identities: [Identity, Subject][] = [
    [pki.admin, { commonName: 'admin', organization: 'system:masters' }],
    [pki.controllerManager, { commonName: 'system:kube-controller-manager' }],
    [pki.scheduler, { commonName: 'system:kube-scheduler' }],
    [pki.proxy, { commonName: 'system:kube-proxy' }],
    ...request.nodes.map(({ name, address }): [Identity, Subject] => [
      pki.nodes.get(name)!,
      { commonName: `system:node:${name}`, organization: 'system:nodes', names: [name, address] },
    ]),
  ];
  await ensureKeyPair(pki.authority, { commonName: 'kubernetes-ca' });
  await ensureSigningKey(pki.serviceAccounts.privateKey, pki.serviceAccounts.publicKey);
  for (const [pair, subject] of [...pairs, ...identities]) await ensureKeyPair(pair, subject, pki.authority);
  for (const [of] of identities) {
    await writeWhole(of.kubeconfig, await kubeconfig(pki, { server: pki.server, user: of }));
  }
  return pki;
}

/**
 * The text of a kubeconfig with everything inside, so that it works wherever it is copied to.
 *
 * @param options.server URL of the API server; its host must be one that the certificate covers
 */
export async function kubeconfig(pki: Pki, options: { server: string; user: KeyPair }): Promise<string> {
  const base64 = async (path: string) => (await readFile(path)).toString('base64');
  const name = pki.clusterName;
  const cluster = {
    server: options.server,
    'certificate-authority-data': await base64(pki.authority.certificate),
  };
  const user = {
    'client-certificate-data': await base64(options.user.certificate),
    'client-key-data': await base64(options.user.key),
  };
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster }],
      users: [{ name, user }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    },
    { lineWidth: 0 },
  );
}
