// The operator as it is shipped, before a played cluster on a real API server, and what tests do and see there.
import type { V1Pod } from '@kubernetes/client-node';
import {
  CONTENT_DISTRIBUTION,
  CONTENT_REVISION,
  type Condition,
  type ContentDistribution,
  type ContentDistributionSpec,
  type ContentRevision,
  Label,
  NODE_CONTENT,
  type NodeContent,
  type Reservation,
} from '../../../api/index.ts';
import { isNotFound, PODS } from '../../../kube/index.ts';
import { EVENTS } from '../../../kube/resource-types.ts';
import { until } from '../../base/until.ts';
import { enxame } from '../../cli/enxame-process.ts';
import { NAMESPACE } from '../chart/render.ts';
import { TestApi } from './api.ts';
import { PlayedCluster } from './played-cluster.ts';

/** A line of the operator's log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: {
    readonly err?: { readonly code?: unknown; readonly message?: string };
    readonly port?: number;
  };
  readonly message: string;
}

/** One replica that runs. */
export interface Replica {
  readonly name: string;
  readonly lines: readonly LogLine[];
  /** Ends it in good order, as SIGTERM does; resolves with its exit code. */
  stop(): Promise<number>;
}

interface Event {
  readonly metadata?: object;
  readonly type?: string;
  readonly reason?: string;
  readonly note?: string;
  readonly regarding?: { readonly uid?: string };
}

/** A line as the program prints it. */
function readLogLine(line: string): LogLine {
  const { level, msg, ...fields } = JSON.parse(line) as LogLine['fields'] & {
    level: LogLine['level'];
    msg: string;
  };
  return { level, fields, message: msg };
}

export class Stage {
  readonly api: TestApi;
  readonly cluster: PlayedCluster;
  readonly replicas: Replica[] = [];

  private constructor(api: TestApi) {
    this.api = api;
    this.cluster = new PlayedCluster(api);
  }

  /** Opens a stage with three nodes, of which one has the label `disk: slow`, and the namespace `ml`. */
  static async open(): Promise<Stage> {
    const api = await TestApi.start();
    const stage = new Stage(api);
    try {
      await stage.makeNamespace('ml');
      for (const name of ['node-1', 'node-2', 'node-3'])
        await stage.cluster.addNode(name, { disk: name === 'node-3' ? 'slow' : 'fast' });
      stage.cluster.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  /** A namespace under Pod Security "restricted", in which Pods can be made. */
  async makeNamespace(name: string): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await this.api.create([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }]);
    await until(`namespace ${name} has its service account`, () =>
      this.api.kubectl('get', 'serviceaccount', 'default', '--namespace', name).then(
        () => true,
        () => false,
      ),
    );
  }

  /** Starts a replica of the operator. */
  async startOperator(name: string): Promise<Replica> {
    const env = {
      KUBECONFIG: await this.api.kubeconfigOf('enxame-operator'),
      ENXAME_PORT: '0',
      POD_NAME: name,
      POD_NAMESPACE: NAMESPACE,
      ENXAME_DEPLOYMENT: 'enxame-operator',
      ENXAME_IMAGE: 'enxame/enxame:test',
    };
    const run = enxame(['operator'], env);
    const stop = async () => {
      run.child.kill('SIGTERM');
      const { code, stderr } = await run.ended;
      if (code === null || stderr !== '') throw new Error(`the operator ended with ${code}: ${stderr}`);
      return code;
    };
    const replica: Replica = {
      name,
      get lines() {
        return run.lines.map(readLogLine);
      },
      stop,
    };
    this.replicas.push(replica);
    return replica;
  }

  /** Everything that any replica logged. */
  get lines(): LogLine[] {
    return this.replicas.flatMap(({ lines }) => lines);
  }

  /** The sum of a metric of a replica. */
  async metric({ lines }: Replica, name: string): Promise<number> {
    const port = lines.find(({ fields }) => fields.port !== undefined)?.fields.port;
    const text = await (await fetch(`http://localhost:${port}/metrics`)).text();
    const values = text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (values.length === 0) throw new Error(`there is no metric ${name}`);
    return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** The replica that leads, as the Lease says. */
  async leader(): Promise<string> {
    const holder = await this.api
      .kubectl(
        ...['get', 'lease', 'enxame-operator', '--namespace', NAMESPACE],
        ...['-o', 'jsonpath={.spec.holderIdentity}'],
      )
      .catch(() => '');
    return holder.split('_')[0] ?? '';
  }

  async close(): Promise<void> {
    await Promise.all(this.replicas.map(({ stop }) => stop()));
    await this.cluster.stop();
    await this.api.close();
  }

  // What users do.

  async apply(name: string, spec: ContentDistributionSpec, namespace = 'ml'): Promise<ContentDistribution> {
    const client = this.api.admin.resource<ContentDistribution>(CONTENT_DISTRIBUTION);
    const object = { apiVersion: 'enxame.dev/v1alpha1', kind: 'ContentDistribution', spec };
    await client.apply({ ...object, metadata: { name, namespace } }, { fieldManager: 'test', force: true });
    return client.get(name, { namespace });
  }

  async delete(name: string, namespace = 'ml'): Promise<void> {
    await this.api.admin.resource(CONTENT_DISTRIBUTION).delete({ name, namespace });
  }

  // What there is to see.

  distribution(name: string, namespace = 'ml'): Promise<ContentDistribution> {
    return this.api.admin.resource<ContentDistribution>(CONTENT_DISTRIBUTION).get(name, { namespace });
  }

  async condition(name: string, type: string): Promise<Condition | undefined> {
    const { status } = await this.distribution(name);
    return status?.conditions?.find((condition) => condition.type === type);
  }

  /** Waits for a condition of the present generation. */
  async becomes(
    name: string,
    type: string,
    wanted: { readonly status: Condition['status']; readonly reason?: string },
    seconds?: number,
  ): Promise<Condition> {
    let last: unknown;
    try {
      return await until(
        `${name}: ${type} ${JSON.stringify(wanted)}`,
        async () => {
          const { metadata, status } = await this.distribution(name);
          const condition = status?.conditions?.find((one) => one.type === type);
          last = status;
          const fits =
            condition?.status === wanted.status &&
            condition.observedGeneration === metadata.generation &&
            (wanted.reason === undefined || condition.reason === wanted.reason);
          return fits ? condition : undefined;
        },
        seconds,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; its status is ${JSON.stringify(last)}`);
    }
  }

  /** Oldest first. */
  async revisions(name: string, namespace = 'ml'): Promise<ContentRevision[]> {
    const { items } = await this.api.admin.resource<ContentRevision>(CONTENT_REVISION).list({ namespace });
    return items
      .filter(({ spec }) => spec.distribution === name)
      .sort((a, b) => a.spec.sequence - b.spec.sequence);
  }

  async publishers(name: string, namespace = 'ml'): Promise<V1Pod[]> {
    const labelSelector = `${Label.Component}=publisher,${Label.Distribution}=${name}`;
    return (await this.api.admin.resource<V1Pod>(PODS).list({ namespace, labelSelector })).items;
  }

  /** Reservations on all nodes, with the node of each. */
  async reservations(name: string): Promise<(Reservation & { node: string })[]> {
    const { items } = await this.api.admin.resource<NodeContent>(NODE_CONTENT).list();
    return items.flatMap(({ metadata, spec }) =>
      (spec?.publishing ?? [])
        .filter(({ distributionName }) => distributionName === name)
        .map((reservation) => ({ ...reservation, node: metadata.name })),
    );
  }

  /** The reservation of a publication that is being received; by another node than `otherThan`. */
  receiving(name: string, otherThan?: string): Promise<Reservation & { node: string }> {
    return until(`${name} is being received`, async () => {
      const { items } = await this.api.admin.resource<NodeContent>(NODE_CONTENT).list();
      for (const { metadata, spec, status } of items) {
        if (metadata.name === otherThan) continue;
        for (const reservation of spec?.publishing ?? []) {
          if (reservation.distributionName !== name) continue;
          const isReceiving = status?.publishing?.some(
            ({ uid, attempt, phase }) =>
              uid === reservation.uid && attempt === reservation.attempt && phase === 'Receiving',
          );
          if (isReceiving) return { ...reservation, node: metadata.name };
        }
      }
      return undefined;
    });
  }

  async events(
    uid: string | undefined,
    namespace = 'ml',
  ): Promise<{ type: string; reason: string; note: string }[]> {
    const { items } = await this.api.admin.resource<Event>(EVENTS).list({ namespace });
    return items
      .filter(({ regarding }) => regarding?.uid === uid)
      .map(({ type = '', reason = '', note = '' }) => ({ type, reason, note }));
  }

  /** Whether an object is gone. */
  async isGone(read: Promise<unknown>): Promise<boolean> {
    try {
      await read;
      return false;
    } catch (error) {
      if (isNotFound(error)) return true;
      throw error;
    }
  }
}
