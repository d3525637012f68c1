/**
 * Where everything of a cluster lies and what it is called, as a function of the cluster's name alone: so what
 * an interrupted run left behind is found by any checkout. Every name that the kernel sees carries a short id,
 * so several clusters live side by side.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ClusterError } from './errors.ts';

/** Outside of every repository. */
const CLUSTERS_FOLDER = '/var/lib/enxame-clusters';
/** A DNS label, short enough for all that is derived from it. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
/** The range of node addresses, of Pods and of Services ends there. */
export const MAX_NODES = 100;

/** The addresses of every cluster: each has networks of its own, so they may be the same (RFC 2544's range). */
export const ADDRESSES = {
  controlPlane: '198.18.0.2',
  /** First of the Services' range: the API server, as Pods see it. */
  apiService: '198.19.128.1',
  services: '198.19.128.0/20',
  pods: '198.19.0.0/17',
  prefixLength: 24,
} as const;

/** A node's names and addresses. */
export interface NodeLayout {
  /** In Kubernetes: `node-1`. */
  readonly name: string;
  /** From 1 on. */
  readonly number: number;
  readonly address: string;
  readonly podRange: string;
  /** Its network namespace. */
  readonly namespace: string;
  /** Its port on the bridge of the fabric. */
  readonly port: string;
  /** Its cgroup, below the root of each hierarchy. */
  readonly cgroup: string;
  /** What is its own of the file system. */
  readonly folder: string;
}

export class ClusterLayout {
  readonly name: string;
  /** Six hex digits: interface names have 15 characters at most. */
  readonly id: string;
  readonly folder: string;

  /** @throws {ClusterError} InvalidName */
  constructor(name: string) {
    if (!NAME.test(name))
      throw new ClusterError(
        'InvalidName',
        `'${name}' cannot be a cluster's name: it must have 1 to 40 lower-case letters, digits and hyphens`,
      );
    this.name = name;
    this.id = createHash('sha256').update(name).digest('hex').slice(0, 6);
    this.folder = join(CLUSTERS_FOLDER, name);
  }

  static get parent(): string {
    return CLUSTERS_FOLDER;
  }

  /** Prefix of the names of network namespaces and cgroups. */
  get prefix(): string {
    return `enxame-${this.id}-`;
  }

  /** The namespace of the bridge that all hosts are on. No route leads out of it. */
  get fabric(): string {
    return `${this.prefix}fabric`;
  }

  /** The namespace of the control plane's host. */
  get controlPlane(): string {
    return `${this.prefix}control`;
  }

  get settings(): string {
    return join(this.folder, 'cluster.json');
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  get pki(): string {
    return join(this.folder, 'pki');
  }

  /** Between the forwarder inside and the one outside. */
  get apiSocket(): string {
    return join(this.folder, 'api.sock');
  }

  log(program: string): string {
    return join(this.folder, 'log', `${program}.log`);
  }

  node(number: number): NodeLayout {
    const name = `node-${number}`;
    return {
      name,
      number,
      address: `198.18.0.${10 + number}`,
      podRange: `198.19.${number}.0/24`,
      namespace: `${this.prefix}${name}`,
      port: name,
      cgroup: `${this.prefix}${name}`,
      folder: join(this.folder, 'node', name),
    };
  }
}
