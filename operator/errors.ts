// What stops the operator, or one duty of it, for a reason of its own.
import { CodedError } from '../base/index.ts';

/** What was wrong. */
export type OperatorErrorCode =
  /** An environment variable cannot be used. */
  | 'InvalidConfiguration'
  /** The API has an object that the operator cannot work with. */
  | 'UnexpectedObject';

/** The operator cannot go on as it is asked to; the message says where and what to do. */
export class OperatorError extends CodedError<OperatorErrorCode> {
  override readonly name = 'OperatorError';
}
