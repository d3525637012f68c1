// spec.source on its way into a publisher's environment. Linux takes 128 KiB for one variable and a source of
// hundreds of signed URLs is longer, so it goes in parts.
//
// Invariant: what readSourceVariables gives is what sourceVariables took, whatever the kubelet expands.
import { ApiError } from './errors.ts';
import { PublisherEnv } from './ingest.ts';

/** Characters of one part; all of them ASCII. */
const PART_CHARACTERS = 100_000;
/** More than any object in etcd can hold. */
const MAX_PARTS = 64;

const partName = (place: number) => (place === 0 ? PublisherEnv.Source : `${PublisherEnv.Source}_${place}`);

/** The variables that hold a source, in their order. */
export function sourceVariables(source: object): [name: string, value: string][] {
  const json = JSON.stringify(source).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const parts: [string, string][] = [];
  for (let start = 0; start < json.length; start += PART_CHARACTERS)
    parts.push([partName(parts.length), json.slice(start, start + PART_CHARACTERS)]);
  return parts;
}

/** The source in an environment. Throws ApiError InvalidRequest if there is none that is a JSON object. */
export function readSourceVariables(env: Readonly<Record<string, string | undefined>>): object {
  let json = '';
  for (let place = 0; place < MAX_PARTS; place += 1) {
    const part = env[partName(place)];
    if (part === undefined) break;
    json += part;
  }
  let source: unknown;
  try {
    source = JSON.parse(json);
  } catch (error) {
    throw new ApiError('InvalidRequest', `${PublisherEnv.Source} is no JSON`, { cause: error });
  }
  if (typeof source !== 'object' || source === null || Array.isArray(source))
    throw new ApiError('InvalidRequest', `${PublisherEnv.Source} is no JSON object`);
  return source;
}
