/** `enxame wait`: the gate of a Pod that reads content through a host path. */
import { waitForContent } from '../../agent/wait.ts';
import { UsageError } from '../errors.ts';
import type { Program } from '../run.ts';

const REVISION = /^[0-9a-f]{12}$/;

/** The options of the command line. */
export interface WaitOptions {
  readonly revision?: string;
  /** Seconds. */
  readonly timeout?: number;
}

/** Waits until the distribution `namespace/name` is active on this node. */
export function wait(distribution: string, { revision, timeout }: WaitOptions): Program {
  return async ({ env, signal, logger }) => {
    const [namespace, name, ...rest] = distribution.split('/');
    if (!namespace || !name || rest.length > 0)
      throw new UsageError(`the distribution is '${distribution}'; it must be NAMESPACE/NAME`);
    if (revision !== undefined && !REVISION.test(revision))
      throw new UsageError(
        `--revision is '${revision}'; it must be 12 hex digits, as kubectl get shows them`,
      );
    return waitForContent(env, { namespace, name, revision, timeoutSeconds: timeout, signal, logger });
  };
}
