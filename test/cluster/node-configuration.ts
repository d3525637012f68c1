/** The configuration files of a node's programs. */
import { join } from 'node:path';
import { ADDRESSES, type NodeLayout } from './layout.ts';
import { PAUSE_IMAGE } from './pause-image.ts';
import type { Pki } from './pki.ts';
import { CNI_FOLDER } from './prerequisites.ts';

/** Where a node's containerd looks for where a registry is: a folder for each, by its name. */
export const registriesFolder = (nodeFolder: string) => join(nodeFolder, 'registries');

export const nodeConfiguration = {
  containerd: ({ folder }: NodeLayout) => `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${PAUSE_IMAGE}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "${registriesFolder(folder)}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${CNI_FOLDER}"]
    conf_dir = "/var/lib/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
`,

  network: ({ podRange }: NodeLayout) => ({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }),

  kubelet: (node: NodeLayout, pki: Pki) => ({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      x509: { clientCAFile: pki.authority.certificate },
      anonymous: { enabled: false },
      webhook: { enabled: true },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pki.nodes.get(node.name)!.certificate,
    tlsPrivateKeyFile: pki.nodes.get(node.name)!.key,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.cgroup}`,
    failSwapOn: false,
    failCgroupV1: false,
    clusterDNS: [ADDRESSES.controlPlane],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    imageGCHighThresholdPercent: 100,
    // All nodes share one disk: one that is rather full must not evict their Pods.
    evictionHard: {
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
      'memory.available': '100Mi',
    },
    featureGates: { KubeletInUserNamespace: true },
    localStorageCapacityIsolation: false,
    resolvConf: join(node.folder, 'resolv.conf'),
  }),

  proxy: (node: NodeLayout, pki: Pki) => ({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig: pki.proxy.kubeconfig },
    hostnameOverride: node.name,
    clusterCIDR: ADDRESSES.pods,
    // The limits of the machine's connection tracking are not the node's to change.
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: '0s',
      tcpCloseWaitTimeout: '0s',
      udpTimeout: '0s',
      udpStreamTimeout: '0s',
    },
  }),
};
