// What went wrong, by a code. Invariant: programs decide by the code; the message is for people.

/** An error with a code; each room has a class of it. The message says what was wrong, where, and what to do. */
export class CodedError<Code> extends Error {
  readonly code: Code;

  /** @param options.cause what was underneath */
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The operating system's code of a failure (`ENOENT`), or '' if it has none. */
export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
