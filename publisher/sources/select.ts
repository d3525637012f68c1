// From spec.source to a source.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, type Dispatcher } from 'undici';
import {
  CONFIG_MAP_MOUNT_PATH,
  HEADERS_MOUNT_PATH,
  HEADERS_SECRET_KEY,
  SourceReason,
  type SourceSpec,
} from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { type AddressGuard, guardedConnector } from '../address-guard.ts';
import { PublishError } from '../errors.ts';
import { createConfigMapSource } from './config-map.ts';
import { parseHeaderLines } from './headers.ts';
import { createHttpSource } from './http.ts';
import type { Source } from './source.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connections of the http source. Certificate authorities beyond the public ones come from
 * NODE_EXTRA_CA_CERTS, which Node reads itself. A proxy takes the place of this agent: hand in undici's
 * EnvHttpProxyAgent instead, and mind that then the proxy and not the guard judges addresses.
 */
export function createGuardedDispatcher(guard: AddressGuard): Dispatcher {
  return new Agent({
    connect: guardedConnector(guard, { connectTimeoutMs: CONNECT_TIMEOUT_MS }),
    connections: 8,
    pipelining: 1,
    allowH2: false,
  });
}

async function readHeaders(mountPath: string): Promise<Record<string, string>> {
  let text: string;
  try {
    text = await readFile(join(mountPath, HEADERS_SECRET_KEY), 'utf8');
  } catch (error) {
    throw new PublishError(
      SourceReason.InvalidHeaders,
      `the headers Secret must have the key ${HEADERS_SECRET_KEY}, with a line "Name: value" for each header`,
      { cause: error },
    );
  }
  return parseHeaderLines(text);
}

/** The source that a spec declares. Throws PublishError. */
export async function createSource(options: {
  spec: SourceSpec;
  dispatcher: Dispatcher;
  stallMs: number;
  logger: Logger;
  headersMountPath?: string;
  configMapMountPath?: string;
}): Promise<Source> {
  const { spec, dispatcher, stallMs, logger } = options;
  if (spec.http !== undefined) {
    const headers =
      spec.http.headersSecretRef === undefined
        ? {}
        : await readHeaders(options.headersMountPath ?? HEADERS_MOUNT_PATH);
    return createHttpSource({ spec: spec.http, headers, dispatcher, stallMs, logger });
  }
  if (spec.configMap !== undefined) {
    return createConfigMapSource({
      mountPath: options.configMapMountPath ?? CONFIG_MAP_MOUNT_PATH,
      name: spec.configMap.name,
    });
  }
  throw new PublishError(
    SourceReason.Invalid,
    'the source must be http or configMap; this publisher knows no other',
  );
}
