// The vocabulary in which the kinds are written: typebox schemas that are at once TypeScript types, the check
// that our programs run on what they obey, and, printed as JSON, Kubernetes structural schemas.
//
// Invariant: everything made here is structural (OpenAPI v3 as CustomResourceDefinitions take it: no
// `additionalProperties: false`, no `$ref`, no `const`, an enum has a type) and has a bound, because the API
// server refuses CEL rules over lists, maps and strings whose size it cannot estimate.
import {
  Array as ArrayOf,
  Boolean as BooleanOf,
  Integer,
  Object as ObjectOf,
  String as StringOf,
  type TArray,
  type TBoolean,
  type TInteger,
  type TObject,
  type TProperties,
  type TSchema,
  type TString,
  type TUnsafe,
  Unsafe,
} from 'typebox';

/** A CEL rule as the API server runs it; `message` is what the user reads and says what must be. */
export interface Rule {
  rule: string;
  message: string;
  /** Where in the object the error is shown, relative to the rule. */
  fieldPath?: string;
  reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
}

interface Described {
  description: string;
  default?: unknown;
  rules?: readonly Rule[];
}

/** The largest integer that a JavaScript number, and so our programs, hold exactly. */
export const MAX_SAFE_BYTES = Number.MAX_SAFE_INTEGER;

function annotations({ description, default: fallback, rules }: Described): Record<string, unknown> {
  return {
    description,
    ...(fallback === undefined ? {} : { default: fallback }),
    ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules }),
  };
}

interface TextOptions extends Described {
  maxLength: number;
  minLength?: number;
  pattern?: string;
  format?: string;
}

/** A string of bounded length. */
export function text({ maxLength, minLength, pattern, format, ...rest }: TextOptions): TString {
  return StringOf({
    ...annotations(rest),
    maxLength,
    ...(minLength === undefined ? {} : { minLength }),
    ...(pattern === undefined ? {} : { pattern }),
    ...(format === undefined ? {} : { format }),
  });
}

/** A moment, RFC 3339. */
export function time(description: string): TString {
  return text({ description, maxLength: 64, format: 'date-time' });
}

/** One of several words. */
export function oneOf<const V extends readonly string[]>(
  values: V,
  described: Described,
): TUnsafe<V[number]> {
  return Unsafe<V[number]>({ type: 'string', enum: [...values], ...annotations(described) });
}

interface CountOptions extends Described {
  minimum: number;
  maximum: number;
}

/** A whole number. Values over 2^31 need 64 bits, which is what the printed format says. */
export function count({ minimum, maximum, ...rest }: CountOptions): TInteger {
  const format = maximum > 0x7fffffff ? 'int64' : 'int32';
  return Integer({ ...annotations(rest), format, minimum, maximum });
}

/** A number of bytes that our programs compute with. */
export function bytes(description: string, options: { rules?: readonly Rule[] } = {}): TInteger {
  return count({ description, minimum: 0, maximum: MAX_SAFE_BYTES, ...options });
}

/** A yes or no. */
export function flag(described: Described): TBoolean {
  return BooleanOf(annotations(described));
}

interface QuantityOptions extends Described {
  /** The least quantity that is accepted, in Kubernetes notation. */
  atLeast: string;
  /** What is measured, for the message: "bytes", "bytes per second". */
  unit: string;
}

/**
 * A Kubernetes quantity of bytes: an integer, or a string such as `200Gi` or `1.5G`.
 * Below 8 Pi, so that it is an exact JavaScript number.
 */
export function quantity({ atLeast, unit, rules = [], ...rest }: QuantityOptions): TUnsafe<string | number> {
  const message = `must be a quantity of ${unit} from ${atLeast} up to 8Pi, such as 500Mi, 20G or 1073741824`;
  return Unsafe<string | number>({
    ...annotations(rest),
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    maxLength: 32,
    'x-kubernetes-int-or-string': true,
    'x-kubernetes-validations': [
      {
        rule: `type(self) == int ? (self >= ${quantityInteger(atLeast)} && self < 9007199254740992) : (isQuantity(self) && quantity(self).compareTo(quantity('${atLeast}')) >= 0 && quantity(self).compareTo(quantity('8Pi')) < 0)`,
        message,
      },
      ...rules,
    ],
  });
}

function quantityInteger(atLeast: string): number {
  const parts = /^([0-9]+)(Ki|Mi)?$/.exec(atLeast);
  if (parts === null) throw new TypeError(`schema: ${atLeast} must be a whole number, or one of Ki or Mi`);
  const unit = parts[2] === 'Mi' ? 1024 * 1024 : parts[2] === 'Ki' ? 1024 : 1;
  return Number(parts[1]) * unit;
}

/** A count of nodes, or a percentage of them (`95%`). */
export function countOrPercent(described: Described): TUnsafe<string | number> {
  return Unsafe<string | number>({
    ...annotations(described),
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    maxLength: 16,
    'x-kubernetes-int-or-string': true,
    'x-kubernetes-validations': [
      {
        rule: "type(self) == int ? (self >= 0 && self <= 1000000) : self.matches('^(100|[1-9]?[0-9])%$')",
        message: 'must be a percentage from 0% to 100%, or a number of nodes from 0 to 1000000',
      },
      ...(described.rules ?? []),
    ],
  });
}

/** An object; fields wrapped in typebox's Optional may be left out. */
export function record<P extends TProperties>(properties: P, described: Described): TObject<P> {
  return ObjectOf(properties, annotations(described));
}

interface ListOptions extends Described {
  maxItems: number;
  minItems?: number;
}

/** A list of objects that are told apart by the named fields; appliers own single entries. */
export function listMap<T extends TSchema>(
  items: T,
  keys: readonly string[],
  { maxItems, minItems, ...rest }: ListOptions,
): TArray<T> {
  return ArrayOf(items, {
    ...annotations(rest),
    ...(minItems === undefined ? {} : { minItems }),
    maxItems,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [...keys],
  });
}

/** A list that is written as a whole. */
export function atomicList<T extends TSchema>(
  items: T,
  { maxItems, minItems, ...rest }: ListOptions,
): TArray<T> {
  return ArrayOf(items, {
    ...annotations(rest),
    ...(minItems === undefined ? {} : { minItems }),
    maxItems,
    'x-kubernetes-list-type': 'atomic',
  });
}

/** A list of different strings. */
export function stringSet(items: TString, { maxItems, ...rest }: ListOptions): TArray<TString> {
  return ArrayOf(items, { ...annotations(rest), maxItems, 'x-kubernetes-list-type': 'set' });
}

interface MapOptions extends Described {
  maxProperties: number;
}

/** A map from strings to strings. */
export function stringMap(
  values: TString,
  { maxProperties, ...rest }: MapOptions,
): TUnsafe<Record<string, string>> {
  return Unsafe<Record<string, string>>({
    type: 'object',
    ...annotations(rest),
    additionalProperties: values,
    maxProperties,
  });
}

/** A name of a Kubernetes object: DNS subdomain, RFC 1123. */
export function objectName(described: Described): TString {
  return text({
    ...described,
    minLength: 1,
    maxLength: 253,
    rules: [
      {
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        message:
          'must be the name of an object: lower case letters, digits, "-" and ".", with a letter or digit at both ends (RFC 1123)',
      },
      ...(described.rules ?? []),
    ],
  });
}

/** The UID that the API server gave an object: always a UUID; our programs make paths of it. */
export function uid(described: Described): TString {
  return text({
    ...described,
    maxLength: 36,
    pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  });
}

/** A word for machines: why a condition or a phase is what it is. */
export function reason(description: string): TString {
  return text({
    description,
    maxLength: 128,
    pattern: '^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?)?$',
  });
}

/** A sentence for people, without credentials, query strings or what a remote sent. */
export function message(description: string): TString {
  return text({ description, maxLength: 4096 });
}
