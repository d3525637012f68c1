// The body of a watch: JSON objects, one to a line (API concepts, "Efficient detection of changes").
import { errorOfStatus, KubeError } from './errors.ts';

/** What a watch tells. A bookmark carries a resource version and nothing else. */
export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** An object is at most 1.5 MiB in etcd; as JSON, with its managed fields, still far below this. */
export const MAX_EVENT_BYTES = 32 * 1024 * 1024;

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines, without their ends; the last line needs none.
 *
 * @throws KubeError InvalidAnswer for a line of more than `maxBytes`
 */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Buffer, void> {
  let kept: Uint8Array[] = [];
  let keptBytes = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const part = chunk.subarray(from, end);
      from = end + 1;
      const line = kept.length === 0 ? Buffer.from(part) : Buffer.concat([...kept, part]);
      kept = [];
      keptBytes = 0;
      if (line.length > 0) yield line;
    }
    if (from < chunk.length) {
      kept.push(chunk.subarray(from));
      keptBytes += chunk.length - from;
      if (keptBytes > maxBytes)
        throw new KubeError(200, 'InvalidAnswer', `an event of a watch has more than ${maxBytes} bytes`);
    }
  }
  if (keptBytes > 0) yield Buffer.concat(kept);
}

interface RawEvent {
  type?: unknown;
  object?: { metadata?: { resourceVersion?: unknown } };
}

/**
 * The events of a watch's body. Objects are taken as the API server, which checked them, sends them.
 *
 * @throws KubeError that an ERROR event tells of (410 Expired …), or InvalidAnswer
 */
export async function* watchEvents<T>(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent<T>, void> {
  for await (const line of lines(chunks, MAX_EVENT_BYTES)) {
    const { type, object } = parsed(line);
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED':
        yield { type, object: object as T };
        break;
      case 'BOOKMARK': {
        const version = object?.metadata?.resourceVersion;
        if (typeof version === 'string') yield { type, resourceVersion: version };
        break;
      }
      case 'ERROR':
        throw errorOfStatus(object, 500);
      default:
        throw new KubeError(
          200,
          'InvalidAnswer',
          `a watch told of ${JSON.stringify(type)}, which is no event`,
        );
    }
  }
}

function parsed(line: Buffer): RawEvent {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as RawEvent;
  } catch (error) {
    // A connection that is cut leaves half a line behind.
    throw new KubeError(200, 'InvalidAnswer', 'a watch was cut in the middle of an event', { cause: error });
  }
  throw new KubeError(200, 'InvalidAnswer', 'a watch sent something that is no object');
}
