// What goes wrong at the border between our programs and what is handed to them.
import { CodedError } from '../base/index.ts';

/** What was wrong. */
export type ApiErrorCode =
  | 'InvalidObject'
  | 'InvalidQuantity'
  | 'InvalidPercent'
  | 'InvalidPath'
  | 'InvalidRequest';

/** Something handed to us is not what the API promises; the message says where and what it must be. */
export class ApiError extends CodedError<ApiErrorCode> {
  override readonly name = 'ApiError';
}
