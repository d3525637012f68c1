// Times as the Kubernetes API writes and reads them (RFC 3339).

/** Milliseconds since 1970 as a Time of the API: whole seconds, rounded down. */
export function apiTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** A Time of the API in milliseconds since 1970; undefined for none, or for one that is no time. */
export function millisecondsOf(time: unknown): number | undefined {
  if (time === undefined || time === null) return undefined;
  const value = time instanceof Date ? time.getTime() : Date.parse(String(time));
  return Number.isNaN(value) ? undefined : value;
}
