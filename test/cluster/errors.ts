import { CodedError } from '../../base/index.ts';

/** What can go wrong with a test cluster, by kind. */
export type ClusterErrorCode =
  /** Programs, packages or rights that this machine lacks; the message names all of them. */
  | 'PrerequisiteMissing'
  /** A program could not be started, or ended with another exit code than 0. */
  | 'CommandFailed'
  /** A cluster's or a node's name that cannot be, or that there is not. */
  | 'InvalidName'
  /** A program of the cluster did not become ready, or ended by itself. */
  | 'NotReady';

/** The error of `test/cluster/`: what was wrong, where, and what to do about it. */
export class ClusterError extends CodedError<ClusterErrorCode> {
  override readonly name = 'ClusterError';
  /** What the program printed, where the error is that of a program. */
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    code: ClusterErrorCode,
    message: string,
    options: { cause?: unknown; stdout?: string; stderr?: string } = {},
  ) {
    super(code, message, { cause: options.cause });
    this.stdout = options.stdout ?? '';
    this.stderr = options.stderr ?? '';
  }
}
