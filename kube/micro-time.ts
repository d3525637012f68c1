/** MicroTime of the API: RFC 3339 with six decimals. */
export function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
