// Objects from the API server, checked once where they enter a program and trusted from then on. The API
// server checked them too; agents look again at every field they obey, because what they do with it runs as
// root on a node. Fields that this version does not know are left alone: newer operators have more of them.
import type { TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import { ApiError } from './errors.ts';
import {
  contentDistributionSpecSchema,
  contentDistributionStatusSchema,
} from './kinds/content-distribution.ts';
import { contentRevisionSpecSchema, contentRevisionStatusSchema } from './kinds/content-revision.ts';
import { nodeContentSpecSchema, nodeContentStatusSchema } from './kinds/node-content.ts';
import type { Limits } from './kinds/parts.ts';
import { contentRevisionName, revisionFromDigest } from './names.ts';
import { pathProblem } from './path.ts';
import { parsePercent, parseQuantity } from './quantity.ts';
import {
  API_VERSION,
  type ContentDistribution,
  type ContentRevision,
  type NodeContent,
  type ObjectMeta,
} from './resource.ts';

function invalid(kind: string, object: unknown, where: string, what: string): ApiError {
  const metadata = (object as { metadata?: { name?: unknown; namespace?: unknown } } | null)?.metadata;
  const name = [metadata?.namespace, metadata?.name].filter((part) => typeof part === 'string').join('/');
  return new ApiError('InvalidObject', `${kind} ${name || '(without a name)'}: ${where} ${what}`);
}

function checkMetadata(kind: string, object: unknown, namespaced: boolean): { metadata: ObjectMeta } {
  if (typeof object !== 'object' || object === null) throw invalid(kind, object, 'it', 'must be an object');
  const { apiVersion, kind: itsKind, metadata } = object as Record<string, unknown>;
  if (apiVersion !== undefined && apiVersion !== API_VERSION) {
    throw invalid(kind, object, 'apiVersion', `must be ${API_VERSION}`);
  }
  if (itsKind !== undefined && itsKind !== kind) throw invalid(kind, object, 'kind', `must be ${kind}`);
  const { name, namespace, uid } = (metadata ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || name === '') throw invalid(kind, object, 'metadata.name', 'must be given');
  if (namespaced && (typeof namespace !== 'string' || namespace === '')) {
    throw invalid(kind, object, 'metadata.namespace', 'must be given');
  }
  if (uid !== undefined && typeof uid !== 'string')
    throw invalid(kind, object, 'metadata.uid', 'must be a string');
  return { metadata: metadata as ObjectMeta };
}

function checkPart(
  kind: string,
  object: unknown,
  part: 'spec' | 'status',
  schema: TSchema,
  needed: boolean,
): void {
  const value = (object as Record<string, unknown>)[part];
  if (value === undefined && !needed) return;
  const first = Errors(schema, value)[0];
  if (first !== undefined) {
    throw invalid(kind, object, part + first.instancePath.replaceAll('/', '.'), first.message);
  }
}

/** Runs a parser on one field, and names the field when it throws. */
function checkField<V>(
  kind: string,
  object: unknown,
  where: string,
  value: V | undefined,
  parse: (value: V) => unknown,
) {
  if (value === undefined) return;
  try {
    parse(value);
  } catch (error) {
    throw invalid(kind, object, where, `is wrong: ${(error as Error).message}`);
  }
}

function checkLimits(kind: string, object: unknown, limits: Limits | undefined): void {
  checkField(kind, object, 'spec.limits.upload', limits?.upload, parseQuantity);
  checkField(kind, object, 'spec.limits.download', limits?.download, parseQuantity);
}

/** Checks a ContentDistribution; throws ApiError InvalidObject that names the field. */
export function parseContentDistribution(object: unknown): ContentDistribution {
  const kind = 'ContentDistribution';
  checkMetadata(kind, object, true);
  checkPart(kind, object, 'spec', contentDistributionSpecSchema, true);
  checkPart(kind, object, 'status', contentDistributionStatusSchema, false);
  const distribution = object as ContentDistribution;
  const { source, limits, availability } = distribution.spec;
  checkLimits(kind, object, limits);
  for (const file of source.http?.files ?? []) {
    const problem = pathProblem(file.path);
    if (problem !== undefined) throw invalid(kind, object, `path ${JSON.stringify(file.path)}`, problem);
  }
  const { minAvailable } = availability ?? {};
  const percent = typeof minAvailable === 'string' ? minAvailable : undefined;
  checkField(kind, object, 'spec.availability.minAvailable', percent, parsePercent);
  checkField(kind, object, 'spec.source.sizeLimit', source.sizeLimit, parseQuantity);
  return distribution;
}

/** Checks a ContentRevision, the object that agents obey; throws ApiError InvalidObject that names the field. */
export function parseContentRevision(object: unknown): ContentRevision {
  const kind = 'ContentRevision';
  const { metadata } = checkMetadata(kind, object, true);
  checkPart(kind, object, 'spec', contentRevisionSpecSchema, true);
  checkPart(kind, object, 'status', contentRevisionStatusSchema, false);
  const { spec } = object as ContentRevision;
  if (revisionFromDigest(spec.digest) !== spec.revision) {
    throw invalid(kind, object, 'spec.revision', 'must be the first 12 digits of spec.digest');
  }
  if (metadata.name !== contentRevisionName(spec.distribution, spec.revision)) {
    throw invalid(kind, object, 'metadata.name', 'must be DISTRIBUTION-REVISION');
  }
  checkLimits(kind, object, spec.limits);
  return object as ContentRevision;
}

/** Checks a NodeContent; throws ApiError InvalidObject that names the field. */
export function parseNodeContent(object: unknown): NodeContent {
  const kind = 'NodeContent';
  checkMetadata(kind, object, false);
  checkPart(kind, object, 'spec', nodeContentSpecSchema, false);
  checkPart(kind, object, 'status', nodeContentStatusSchema, false);
  const nodeContent = object as NodeContent;
  checkLimits(kind, object, nodeContent.spec?.limits);
  const { capacity, reserve } = nodeContent.spec?.storage ?? {};
  checkField(kind, object, 'spec.storage.capacity', capacity, parseQuantity);
  checkField(kind, object, 'spec.storage.reserve', reserve, parseQuantity);
  return nodeContent;
}
