/** The command lines of the control plane's components, wherever they run. */
import { FRONT_PROXY_NAME, type Pki } from './pki.ts';

/** etcd with one member; speed before safety, because a test cluster's data is worth nothing. */
export function etcdArguments(folder: string, clientPort: number, peerPort: number): string[] {
  const client = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    ...[`--data-dir=${folder}`, '--unsafe-no-fsync'],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    `--initial-cluster=default=${peer}`,
  ];
}

/** Where the API server listens, and what it serves. */
export interface ApiServerPlace {
  readonly etcdPort: number;
  readonly port: number;
  readonly bindAddress: string;
  /** A loopback address is made the endpoint of no Service. */
  readonly advertiseAddress: string;
  readonly serviceRange: string;
}

export function apiServerArguments(pki: Pki, place: ApiServerPlace): string[] {
  const { authority, serviceAccounts, apiServer, frontProxy, kubeletClient } = pki;
  const { etcdPort, port, bindAddress, advertiseAddress, serviceRange } = place;
  const isLoopback = advertiseAddress.startsWith('127.');
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    ...[`--secure-port=${port}`, `--bind-address=${bindAddress}`, `--advertise-address=${advertiseAddress}`],
    // A loopback address may not be the endpoint of a Service.
    ...(isLoopback ? ['--endpoint-reconciler-type=none'] : []),
    `--kubelet-client-certificate=${kubeletClient.certificate}`,
    ...[`--kubelet-client-key=${kubeletClient.key}`, '--kubelet-preferred-address-types=InternalIP'],
    `--kubelet-certificate-authority=${authority.certificate}`,
    ...[`--tls-cert-file=${apiServer.certificate}`, `--tls-private-key-file=${apiServer.key}`],
    `--client-ca-file=${authority.certificate}`,
    `--service-account-key-file=${serviceAccounts.publicKey}`,
    `--service-account-signing-key-file=${serviceAccounts.privateKey}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-cluster-ip-range=${serviceRange}`,
    ...['--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction'],
    '--allow-privileged=true',
    ...[
      `--requestheader-client-ca-file=${authority.certificate}`,
      `--requestheader-allowed-names=${FRONT_PROXY_NAME}`,
    ],
    ...['--requestheader-username-headers=X-Remote-User', '--requestheader-group-headers=X-Remote-Group'],
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    ...[`--proxy-client-cert-file=${frontProxy.certificate}`, `--proxy-client-key-file=${frontProxy.key}`],
  ];
}

export function controllerManagerArguments({ authority, serviceAccounts, controllerManager }: Pki): string[] {
  const { kubeconfig } = controllerManager;
  return [
    ...[`--kubeconfig=${kubeconfig}`, `--authentication-kubeconfig=${kubeconfig}`],
    `--authorization-kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${serviceAccounts.privateKey}`,
    ...[`--root-ca-file=${authority.certificate}`, '--use-service-account-credentials'],
    ...['--leader-elect=false', '--allocate-node-cidrs=false', '--secure-port=0'],
    `--cluster-signing-cert-file=${authority.certificate}`,
    `--cluster-signing-key-file=${authority.key}`,
  ];
}

export function schedulerArguments({ scheduler: { kubeconfig } }: Pki): string[] {
  return [
    ...[`--kubeconfig=${kubeconfig}`, `--authentication-kubeconfig=${kubeconfig}`],
    ...[`--authorization-kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0'],
  ];
}
