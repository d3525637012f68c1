/**
 * Which programs are built from Go modules, and how Go builds each. Everything here that changes a program is part
 * of the key of its set in the cache, so that a program under a key never changes.
 */
import { REGISTRY_VERSIONS, VERSIONS } from './versions.ts';

/** Programs that are built alike. */
export interface ProgramGroup {
  readonly name: string;
  /** The module that holds the programs; undefined for a program of our own. */
  readonly module?: GoModule;
  /** File name of each program and the package that it is built from. */
  readonly programs: Readonly<Record<string, string>>;
  readonly tags?: string;
  /** Linker flags beside -s -w. */
  readonly linkerFlags?: string;
  /** Kubernetes replaces its staging modules by folders in its own go.mod: a main module must name them. */
  readonly staging?: boolean;
  /** Source of a package main of our own, in a folder of the group's name. */
  readonly source?: string;
}

/** A module of Go. */
export interface GoModule {
  readonly path: string;
  readonly version: string;
}

const KUBERNETES = 'k8s.io/kubernetes/cmd';
const COMPONENT_VERSION = 'k8s.io/component-base/version';
const CONTAINERD = 'github.com/containerd/containerd/v2';
const [MAJOR, MINOR] = VERSIONS.kubernetes.slice(1).split('.');

/** The only program of the image that holds a Pod's namespaces: it reaps children, and ends when asked to. */
const PAUSE = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range c {
		if s != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			if p, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); p <= 0 {
				break
			}
		}
	}
}
`;

/**
 * CoreDNS with the plugins that the cluster's Corefile names, as its own documentation has it for whoever wants
 * fewer: those of the clouds' name services take longer to build than all the rest. The order is that of its
 * plugin.cfg.
 */
const COREDNS_PLUGINS = ['bind', 'errors', 'cache', 'kubernetes'];
const COREDNS = `package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
${COREDNS_PLUGINS.map((name) => `	_ "github.com/coredns/coredns/plugin/${name}"`).join('\n')}
)

func main() {
	dnsserver.Directives = []string{${COREDNS_PLUGINS.map((name) => `"${name}"`).join(', ')}}
	coremain.Run()
}
`;

/** The arguments of `go` that build one program. */
export function buildArguments(group: ProgramGroup, output: string, path: string): string[] {
  const linker = ['-s', '-w', group.linkerFlags ?? ''].join(' ').trim();
  const tags = group.tags === undefined ? [] : ['-tags', group.tags];
  return ['build', '-trimpath', ...tags, '-ldflags', linker, '-o', output, path];
}

/**
 * A registry that keeps images in a folder, and lets in whom an htpasswd file names: distribution's own program
 * without the object stores, which take longer to build than all the rest.
 */
const REGISTRY = `package main

import (
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`;

/** In the order in which they are built: what integration tests need comes first. */
const CLUSTER_GROUPS: readonly ProgramGroup[] = [
  {
    name: 'etcd',
    module: { path: 'go.etcd.io/etcd/server/v3', version: VERSIONS.etcd },
    programs: { etcd: 'go.etcd.io/etcd/server/v3' },
  },
  {
    name: 'kubernetes',
    module: { path: 'k8s.io/kubernetes', version: VERSIONS.kubernetes },
    programs: {
      'kube-apiserver': `${KUBERNETES}/kube-apiserver`,
      kubectl: `${KUBERNETES}/kubectl`,
      'kube-controller-manager': `${KUBERNETES}/kube-controller-manager`,
      'kube-scheduler': `${KUBERNETES}/kube-scheduler`,
      kubelet: `${KUBERNETES}/kubelet`,
      'kube-proxy': `${KUBERNETES}/kube-proxy`,
    },
    linkerFlags: [
      `-X ${COMPONENT_VERSION}.gitVersion=${VERSIONS.kubernetes}`,
      `-X ${COMPONENT_VERSION}.gitMajor=${MAJOR}`,
      `-X ${COMPONENT_VERSION}.gitMinor=${MINOR}`,
    ].join(' '),
    staging: true,
  },
  {
    name: 'containerd',
    module: { path: CONTAINERD, version: VERSIONS.containerd },
    programs: {
      containerd: `${CONTAINERD}/cmd/containerd`,
      'containerd-shim-runc-v2': `${CONTAINERD}/cmd/containerd-shim-runc-v2`,
      ctr: `${CONTAINERD}/cmd/ctr`,
    },
    // Snapshotters that need libraries or tools beyond the kernel.
    tags: 'no_btrfs no_devmapper no_zfs',
    linkerFlags: `-X ${CONTAINERD}/version.Version=${VERSIONS.containerd}`,
  },
  {
    name: 'helm',
    module: { path: 'helm.sh/helm/v4', version: VERSIONS.helm },
    programs: { helm: 'helm.sh/helm/v4/cmd/helm' },
  },
  {
    name: 'coredns',
    module: { path: 'github.com/coredns/coredns', version: VERSIONS.coredns },
    programs: { coredns: './coredns' },
    source: COREDNS,
  },
  { name: 'pause', programs: { pause: './pause' }, source: PAUSE },
];

const REGISTRY_GROUPS: readonly ProgramGroup[] = [
  {
    name: 'crane',
    module: { path: 'github.com/google/go-containerregistry', version: REGISTRY_VERSIONS.crane },
    programs: { crane: 'github.com/google/go-containerregistry/cmd/crane' },
  },
  {
    name: 'registry',
    module: { path: 'github.com/distribution/distribution/v3', version: REGISTRY_VERSIONS.registry },
    programs: { registry: './registry' },
    source: REGISTRY,
  },
];

/** Programs that are built in one main module, so that they agree on the versions of what they share. */
export interface ProgramSet {
  /** Of its folder in the cache, before the key. */
  readonly name: string;
  /** In the order in which they are built. */
  readonly groups: readonly ProgramGroup[];
  /** The file names of all programs. */
  readonly programs: readonly string[];
  /** Everything that makes the programs what they are, as text. */
  readonly recipe: string;
}

function programSet(name: string, versions: object, groups: readonly ProgramGroup[]): ProgramSet {
  const programs = groups.flatMap((group) => Object.keys(group.programs));
  const built = groups.map((group) => [group, buildArguments(group, '', '')]);
  const recipe = JSON.stringify([versions, built, process.platform, process.arch]);
  return { name, groups, programs, recipe };
}

/** What a cluster is made of, and what speaks to it. */
export const CLUSTER_PROGRAMS = programSet(`kubernetes-${VERSIONS.kubernetes}`, VERSIONS, CLUSTER_GROUPS);

/** What images are pushed with, and a registry to push them to. */
export const REGISTRY_PROGRAMS = programSet('registry', REGISTRY_VERSIONS, REGISTRY_GROUPS);
