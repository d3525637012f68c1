// What goes wrong at the border between our programs and what is handed to them.

/** What was wrong. */
export type ApiErrorCode =
  | 'InvalidObject'
  | 'InvalidQuantity'
  | 'InvalidPercent'
  | 'InvalidPath'
  | 'InvalidRequest';

/** Something handed to us is not what the API promises; the message says where and what it must be. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;

  constructor(code: ApiErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiError';
    this.code = code;
  }
}
