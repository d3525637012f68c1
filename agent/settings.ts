// The agent's settings from its environment. Invariant: a setting that makes no sense ends the program at its
// start, with a sentence that names it.
import { isAbsolute } from 'node:path';
import { Port } from '../api/index.ts';
import type { AgentSettings } from './agent.ts';
import { AgentError } from './errors.ts';

const DEFAULT_ROOT = '/var/lib/enxame';

function invalid(name: string, what: string): AgentError {
  return new AgentError('InvalidSetting', `${name} ${what}`);
}

function needed(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw invalid(name, 'must be set');
  return value;
}

function wholeNumber(env: NodeJS.ProcessEnv, name: string, most: number): number | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^[0-9]{1,12}$/.test(text) || value > most)
    throw invalid(name, `is ${JSON.stringify(text)} and must be a whole number up to ${most}`);
  return value;
}

/**
 * Reads the settings: NODE_NAME, POD_NAMESPACE, POD_UID, POD_IP, ENXAME_CONTENT_ROOT, and, for tests and odd
 * clusters, ENXAME_HOST_CONTENT_ROOT (the same path as the node sees it), ENXAME_PEER_PORT, ENXAME_HTTP_PORT,
 * ENXAME_ABSENCE_SECONDS (3600: how long an object may be missing before its files go) and
 * ENXAME_ANNOUNCE_TOKEN (a file: the token for announces) and ENXAME_PIN_LIMIT_SECONDS (3600: how long Pods keep the files of a deleted distribution).
 * @throws AgentError InvalidSetting
 */
export function readSettings(env: NodeJS.ProcessEnv, version: string): AgentSettings {
  const contentRoot = env.ENXAME_CONTENT_ROOT || DEFAULT_ROOT;
  if (!isAbsolute(contentRoot)) throw invalid('ENXAME_CONTENT_ROOT', 'must be an absolute path');
  const absenceSeconds = wholeNumber(env, 'ENXAME_ABSENCE_SECONDS', 31_536_000);
  const pinLimitSeconds = wholeNumber(env, 'ENXAME_PIN_LIMIT_SECONDS', 31_536_000);
  return {
    nodeName: needed(env, 'NODE_NAME'),
    podUID: env.POD_UID || undefined,
    address: env.POD_IP || undefined,
    namespace: env.ENXAME_TRACKER_NAMESPACE || needed(env, 'POD_NAMESPACE'),
    contentRoot,
    hostContentRoot: env.ENXAME_HOST_CONTENT_ROOT || contentRoot,
    version,
    announceToken: env.ENXAME_ANNOUNCE_TOKEN || undefined,
    peerPort: wholeNumber(env, 'ENXAME_PEER_PORT', 65_535) ?? Port.Peer,
    httpPort: wholeNumber(env, 'ENXAME_HTTP_PORT', 65_535) ?? Port.Agent,
    ...(absenceSeconds === undefined ? {} : { deletion: { afterList: absenceSeconds * 1000 } }),
    ...(pinLimitSeconds === undefined ? {} : { pinLimitMilliseconds: pinLimitSeconds * 1000 }),
  };
}
