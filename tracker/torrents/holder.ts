/**
 * Asks one holder of a torrent, an agent's web server, for its metainfo. A holder is a stranger: time and size are
 * bounded, and whoever calls checks what came.
 */
import { get } from 'node:http';
import { MAX_METAINFO_BYTES } from '../../torrent/index.ts';
import { TrackerError } from '../errors.ts';

/** An agent's HTTP port. */
export const HOLDER_PORT = 9100;
const HOLDER_TIMEOUT_MILLISECONDS = 5_000;

/** Gets the metainfo of a torrent from one host. */
export type AskHolder = (host: string, infoHashHex: string, signal: AbortSignal) => Promise<Buffer>;

/**
 * Asks over HTTP; redirects are not followed.
 *
 * @throws TrackerError HolderFailed if there is no answer in time, another status than 200, or too much
 */
export function askHolderOverHttp(port: number, maxBytes: number = MAX_METAINFO_BYTES): AskHolder {
  return (host, infoHashHex, signal) =>
    new Promise<Buffer>((resolve, reject) => {
      const fail = (why: string, cause?: unknown) =>
        reject(
          new TrackerError('HolderFailed', `${host} did not give ${infoHashHex}.torrent: ${why}`, { cause }),
        );
      const timeout = AbortSignal.timeout(HOLDER_TIMEOUT_MILLISECONDS);
      const request = get({
        host,
        port,
        path: `/torrents/${infoHashHex}.torrent`,
        agent: false,
        signal: AbortSignal.any([signal, timeout]),
        headers: { accept: 'application/x-bittorrent', 'accept-encoding': 'identity' },
      });
      request.on('error', (error) => fail(timeout.aborted ? 'no answer in time' : error.message, error));
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        const refuse = (why: string) => {
          fail(why);
          request.destroy();
        };
        if (response.statusCode !== 200) return refuse(`HTTP status ${response.statusCode}`);
        if (response.headers['content-encoding'] !== undefined) return refuse('it is encoded');
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxBytes) refuse(`it is larger than ${maxBytes} bytes`);
          else chunks.push(chunk);
        });
        response.on('error', (error) => fail(timeout.aborted ? 'no end in time' : error.message, error));
        response.on('end', () => (response.complete ? resolve(Buffer.concat(chunks)) : fail('cut off')));
      });
    });
}
