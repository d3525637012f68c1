// One kind on an imagined API server, for tests of reflector and informer. It imitates lists, watches from a
// resource version, compaction (410) and whatever failure a test asks for; nothing else.
import type { WatchOptions } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Watchable } from '../../kube/reflector.ts';
import type { WatchEvent } from '../../kube/watch-stream.ts';

export interface Thing {
  metadata: { name: string; uid: string; resourceVersion: string };
}

export class ScriptedApi implements Watchable<Thing> {
  readonly type = { group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: false };
  readonly #objects = new Map<string, Thing>();
  readonly #history: { version: number; event: WatchEvent<Thing> }[] = [];
  #version = 10;
  #uids = 0;
  /** Versions up to this one are forgotten. */
  #compacted = 0;
  #wake: (() => void)[] = [];
  #cuts = 0;
  lists = 0;
  watches = 0;
  /** Thrown by the next calls, one each. */
  readonly listFailures: Error[] = [];
  readonly watchFailures: Error[] = [];

  get state(): Map<string, Thing> {
    return new Map(this.#objects);
  }

  #record(event: WatchEvent<Thing>): void {
    this.#history.push({ version: this.#version, event });
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  put(name: string): void {
    const before = this.#objects.get(name);
    this.#version += 1;
    if (before === undefined) this.#uids += 1;
    const uid = before?.metadata.uid ?? `uid-${this.#uids}`;
    const object = { metadata: { name, uid, resourceVersion: String(this.#version) } };
    this.#objects.set(name, object);
    this.#record({ type: before === undefined ? 'ADDED' : 'MODIFIED', object });
  }

  remove(name: string): void {
    const object = this.#objects.get(name);
    if (object === undefined) return;
    this.#version += 1;
    this.#objects.delete(name);
    const last = { metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    this.#record({ type: 'DELETED', object: last });
  }

  bookmark(): void {
    this.#record({ type: 'BOOKMARK', resourceVersion: String(this.#version) });
  }

  /** Something happens to other kinds: versions grow, and watches of this one hear nothing. */
  changeOthers(): void {
    this.#version += 1;
  }

  /** Forgets the history, as etcd's compaction does, and cuts all watches. */
  compact(): void {
    this.#compacted = this.#version;
    this.cut();
  }

  /** Cuts all watches. */
  cut(): void {
    this.#cuts += 1;
    this.#wakeAll();
  }

  async list(): Promise<{ items: Thing[]; resourceVersion: string }> {
    this.lists += 1;
    const failure = this.listFailures.shift();
    if (failure !== undefined) throw failure;
    return { items: [...this.#objects.values()], resourceVersion: String(this.#version) };
  }

  async *watch({ resourceVersion, signal }: WatchOptions): AsyncGenerator<WatchEvent<Thing>, void> {
    this.watches += 1;
    const failure = this.watchFailures.shift();
    if (failure !== undefined) throw failure;
    const from = Number(resourceVersion);
    if (from < this.#compacted) throw new KubeError(410, 'Expired', 'too old resource version');
    const cuts = this.#cuts;
    let next = this.#history.findIndex(({ version }) => version > from);
    if (next < 0) next = this.#history.length;
    while (!signal?.aborted) {
      if (this.#cuts !== cuts) throw new KubeError(0, 'Unreachable', 'cut');
      if (next < this.#history.length) {
        yield this.#history[next]!.event;
        next += 1;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}
