/**
 * The releases that a test cluster is made of, by Go module version. One place, because the cache of built
 * programs, the Kubernetes that the tests speak of and the documentation must not drift apart.
 */
export const VERSIONS = {
  /** The least that all of these ask for. One for all, so that Go compiles what they share once. */
  go: '1.26.8',
  kubernetes: 'v1.36.3',
  etcd: 'v3.6.16',
  containerd: 'v2.3.7',
  helm: 'v4.2.4',
  coredns: 'v1.14.7',
} as const;

/** The releases of what pushes images, and of the registry that tests push to. */
export const REGISTRY_VERSIONS = {
  go: VERSIONS.go,
  crane: 'v0.22.1',
  registry: 'v3.1.2',
} as const;
