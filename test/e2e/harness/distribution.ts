/** Distributions of the tests: made, changed, watched. */
import type { V1Pod } from '@kubernetes/client-node';
import {
  API_VERSION,
  CONTENT_DISTRIBUTION,
  CONTENT_REVISION,
  type ContentDistribution,
  type ContentRevision,
  NODE_CONTENT,
  type NodeContent,
} from '../../../api/index.ts';
import { PODS } from '../../../kube/resource-types.ts';
import { PATIENCE } from '../../patience.ts';
import { apply, kubectl, resource } from './environment.ts';
import type { SourceFile } from './source.ts';
import { until } from './until.ts';

type Spec = ContentDistribution['spec'];
type Condition = NonNullable<NonNullable<ContentDistribution['status']>['conditions']>[number];
type Transfer = NonNullable<NonNullable<NodeContent['status']>['revisions']>[number];

/** A spec whose source is these files. */
export function fromFiles(files: readonly SourceFile[], rest: Omit<Spec, 'source'> = {}): Spec {
  return {
    source: { http: { files: files.map(({ path, url }) => ({ path, url })) } },
    ...rest,
  };
}

/** One distribution. */
export class Distribution {
  readonly namespace: string;
  readonly name: string;

  constructor(namespace: string, name: string) {
    this.namespace = namespace;
    this.name = name;
  }

  async apply(spec: Spec): Promise<void> {
    const { namespace, name } = this;
    const { apiVersion, kind } = { apiVersion: API_VERSION, kind: CONTENT_DISTRIBUTION.kind };
    await apply({ apiVersion, kind, metadata: { namespace, name }, spec });
  }

  get(): Promise<ContentDistribution> {
    const { namespace } = this;
    return resource<ContentDistribution>(CONTENT_DISTRIBUTION).get(this.name, { namespace });
  }

  async uid(): Promise<string> {
    return (await this.get()).metadata.uid!;
  }

  /** As a user waits. */
  async waitReady(seconds = 90): Promise<void> {
    await kubectl([
      ...['--namespace', this.namespace, 'wait', '--for=condition=Ready'],
      ...[`contentdistribution/${this.name}`, `--timeout=${PATIENCE * seconds}s`],
    ]);
  }

  /** Waits for a state of the object. */
  until(what: string, isSo: (object: ContentDistribution) => boolean, seconds = 60) {
    return until(`${this.name}: ${what}`, () => this.get(), isSo, seconds);
  }

  async condition(type: string): Promise<Condition | undefined> {
    return (await this.get()).status?.conditions?.find((condition) => condition.type === type);
  }

  async revisions(): Promise<ContentRevision[]> {
    const { namespace } = this;
    const { items } = await resource<ContentRevision>(CONTENT_REVISION).list({ namespace });
    return items
      .filter(({ spec }) => spec.distribution === this.name)
      .sort((a, b) => a.spec.sequence - b.spec.sequence);
  }

  /** What every node says of it, by node. */
  async onNodes(): Promise<Map<string, Transfer[]>> {
    const uid = await this.uid();
    const { items } = await resource<NodeContent>(NODE_CONTENT).list();
    return new Map(
      items.map(({ metadata, status }) => [
        metadata.name,
        (status?.revisions ?? []).filter((revision) => revision.uid === uid),
      ]),
    );
  }

  async publisherPods(): Promise<V1Pod[]> {
    const labelSelector = 'app.kubernetes.io/component=publisher';
    const { items } = await resource<V1Pod>(PODS).list({ namespace: this.namespace, labelSelector });
    return items;
  }

  async events(): Promise<string> {
    return kubectl(['-n', this.namespace, 'events', `--for=contentdistribution/${this.name}`]);
  }

  /** Deletes the object; agents follow. */
  async delete(): Promise<void> {
    await kubectl([
      '-n',
      this.namespace,
      'delete',
      `contentdistribution/${this.name}`,
      `--timeout=${PATIENCE * 60}s`,
    ]);
  }
}

/** A node that downloads now, other than one that shall be left alone. */
export async function downloadingNode(distribution: Distribution, besides?: string): Promise<string> {
  return until(
    `a node downloads ${distribution.name}`,
    async () => {
      const onNodes = await distribution.onNodes();
      const found = [...onNodes].find(
        ([node, entries]) => node !== besides && entries.some(({ phase }) => phase === 'Downloading'),
      );
      return found?.[0] ?? '';
    },
    (node) => node !== '',
  );
}
