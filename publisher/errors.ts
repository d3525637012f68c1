// Why publishing stopped. The code is what conditions and events show; the message is for people and never
// holds credentials, query strings or what a source sent.
import type { Reason, SourceReason } from '../api/index.ts';
import { CodedError } from '../base/index.ts';

/** A reason that a publisher can end with. */
export type PublishErrorCode = SourceReason | Extract<Reason, 'TooManyFiles' | 'InsufficientStorage'>;

interface PublishErrorOptions extends ErrorOptions {
  /** Whether trying again soon may help. */
  passing?: boolean;
  /** How long the other side asked to wait, in milliseconds. */
  retryAfterMs?: number;
}

/** Publishing failed. */
export class PublishError extends CodedError<PublishErrorCode> {
  override readonly name = 'PublishError';
  readonly passing: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: PublishErrorCode, message: string, options: PublishErrorOptions = {}) {
    super(code, message, options);
    this.passing = options.passing ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}
