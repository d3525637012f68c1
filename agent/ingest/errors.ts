// How a call of the ingest protocol fails: with a code of the protocol, which gives its HTTP status.
import type { IngestErrorCode } from '../../api/index.ts';

/** A refusal of a publisher's call. */
export class IngestRefusal extends Error {
  readonly code: IngestErrorCode;
  /** With OffsetMismatch: where to go on. */
  readonly offset: number | undefined;

  constructor(code: IngestErrorCode, message: string, options?: ErrorOptions & { offset?: number }) {
    super(message, options);
    this.name = 'IngestRefusal';
    this.code = code;
    this.offset = options?.offset;
  }
}
