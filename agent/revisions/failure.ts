// Why a try at a transfer failed, as people see it in NodeContent.status: a reason of the API and a sentence.
import { Reason } from '../../api/index.ts';
import { systemCode } from '../../base/index.ts';
import { isTorrentError } from '../../torrent/index.ts';
import { AgentError } from '../errors.ts';

/** Failures of a try, with the reason that people see. */
export class TransferFailure extends Error {
  readonly reason: string;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The failure that an error of any room below is. */
export function failureOf(error: unknown): TransferFailure {
  if (error instanceof TransferFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof AgentError) {
    const reasons: { [code: string]: string | undefined } = {
      StorageLow: Reason.StorageLow,
      MetainfoUnavailable: Reason.MetainfoUnavailable,
      MetainfoInvalid: Reason.MetainfoInvalid,
      DigestMismatch: Reason.DigestMismatch,
    };
    return new TransferFailure(reasons[error.code] ?? Reason.DiskError, message, { cause: error });
  }
  const isFull = isTorrentError(error, 'NoSpace') || ['ENOSPC', 'EDQUOT'].includes(systemCode(error));
  return new TransferFailure(isFull ? Reason.StorageLow : Reason.DiskError, message, { cause: error });
}
