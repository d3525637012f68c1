// Getting metainfo from the trackers' web servers. What comes is checked by the caller.
import { request } from 'undici';
import { MAX_METAINFO_BYTES } from '../../torrent/index.ts';
import { AgentError } from '../errors.ts';

/** A tracker may hold the answer for some seconds, until it has found a holder. */
const TIMEOUT_MILLISECONDS = 10_000;

/** Gets a .torrent file by its info hash. */
export type MetainfoFetcher = (infoHashHex: string, signal: AbortSignal) => Promise<Uint8Array>;

async function fetchFrom(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const { statusCode, body } = await request(url, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
    headersTimeout: TIMEOUT_MILLISECONDS,
    bodyTimeout: TIMEOUT_MILLISECONDS,
  });
  if (statusCode !== 200) {
    await body.dump();
    throw new AgentError('MetainfoUnavailable', `${url} answers ${statusCode}`);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_METAINFO_BYTES) {
      body.destroy();
      throw new AgentError('MetainfoInvalid', `${url} sends more than ${MAX_METAINFO_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Asks one tracker after the other, in the order of `webServers` (base URLs, by rank for this info hash).
 * Throws AgentError MetainfoUnavailable when none of them has it.
 */
export async function fetchMetainfo(
  webServers: readonly string[],
  infoHashHex: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (webServers.length === 0) throw new AgentError('MetainfoUnavailable', 'no tracker is known yet');
  const failures: string[] = [];
  for (const base of webServers) {
    try {
      return await fetchFrom(`${base}/torrents/${infoHashHex}.torrent`, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      failures.push((error as Error).message);
    }
  }
  throw new AgentError('MetainfoUnavailable', `no tracker has the metainfo: ${failures.join('; ')}`);
}
