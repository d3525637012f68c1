// How a call of the ingest protocol fails: with a code of the protocol, which gives its HTTP status.
import type { IngestErrorCode } from '../../api/index.ts';
import { CodedError } from '../../base/index.ts';

/** A refusal of a publisher's call. */
export class IngestRefusal extends CodedError<IngestErrorCode> {
  override readonly name = 'IngestRefusal';
  /** With OffsetMismatch: where to go on. */
  readonly offset: number | undefined;

  constructor(code: IngestErrorCode, message: string, options?: ErrorOptions & { offset?: number }) {
    super(code, message, options);
    this.offset = options?.offset;
  }
}
