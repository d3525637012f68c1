// `enxame wait`: the gate of a Pod that reads content through a host path. It looks at the content root that is
// mounted read-only into its init container, and asks nobody.
//
// Invariant: it succeeds only when the symlinks lead to a revision that is there; the main container, whose
// volumes are resolved afterwards, then sees that revision or a later one.
import { lstat, readlink } from 'node:fs/promises';
import { type Clock, type Logger, sleep, systemClock, systemCode } from '../base/index.ts';
import { isName, isNamespace, isRevision, isUid, Layout } from './content-root/layout.ts';
import { AgentError } from './errors.ts';

const DEFAULT_ROOT = '/var/lib/enxame';
const LOOK_EVERY_MILLISECONDS = 500;
const LOG_EVERY_MILLISECONDS = 30_000;

/** What is waited for. */
export interface WaitForContent {
  namespace: string;
  name: string;
  /** A certain revision; any by default. */
  revision?: string | undefined;
  /** Seconds; for ever by default. */
  timeoutSeconds?: number | undefined;
  signal: AbortSignal;
  logger: Logger;
  clock?: Clock;
}

async function targetOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // EINVAL: an empty folder that a Pod made in the way; the agent replaces it.
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemCode(error))) return undefined;
    throw error;
  }
}

/** The revision that a content root shows under a name; undefined while there is none. */
export async function activeRevision(
  root: string,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const layout = new Layout(root);
  const uid = (await targetOf(layout.byName(namespace, name)))?.split('/').at(-1);
  if (uid === undefined || !isUid(uid)) return undefined;
  const revision = await targetOf(layout.current(uid));
  if (revision === undefined || !isRevision(revision)) return undefined;
  try {
    return (await lstat(layout.revision(uid, revision))).isDirectory() ? revision : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Waits until a content is active on this node. Returns the exit code: 0, or 1 when the time is over or the
 * signal aborts.
 * @throws AgentError InvalidSetting for names that no content can have
 */
export async function waitForContent(
  env: NodeJS.ProcessEnv,
  { namespace, name, revision, timeoutSeconds, signal, logger, clock = systemClock }: WaitForContent,
): Promise<number> {
  if (!isNamespace(namespace) || !isName(name))
    throw new AgentError(
      'InvalidSetting',
      `${namespace}/${name} must be NAMESPACE/NAME of a ContentDistribution`,
    );
  const root = env.ENXAME_CONTENT_ROOT || DEFAULT_ROOT;
  const deadline = timeoutSeconds === undefined ? undefined : clock.now() + timeoutSeconds * 1000;
  let loggedAt = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const active = await activeRevision(root, namespace, name);
    if (active !== undefined && (revision === undefined || active === revision)) {
      logger.info({ namespace, name, revision: active }, 'the content is there');
      return 0;
    }
    const now = clock.now();
    if (deadline !== undefined && now >= deadline) {
      logger.error(
        { namespace, name, revision, active, timeoutSeconds },
        'the content did not become active in time; kubectl get contentdistribution says why',
      );
      return 1;
    }
    if (now - loggedAt >= LOG_EVERY_MILLISECONDS) {
      logger.info({ namespace, name, revision, active }, 'waiting for the content');
      loggedAt = now;
    }
    await sleep(
      clock,
      Math.min(LOOK_EVERY_MILLISECONDS, (deadline ?? Number.POSITIVE_INFINITY) - now),
      signal,
    );
  }
  return 1;
}
