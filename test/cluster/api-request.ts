/**
 * One request to the API server with a client certificate, without starting a kubectl for it: for waiting
 * until it is ready, many times a second.
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { KeyPair } from './certificates.ts';
import type { Pki } from './pki.ts';

const TIMEOUT_MILLISECONDS = 5_000;

/**
 * GETs a path as the given user.
 *
 * @returns the status code and body
 * @throws {Error} of the connection if there is no answer
 */
export async function apiGet(
  pki: Pki,
  path: string,
  user: KeyPair = pki.admin,
): Promise<{ status: number; body: string }> {
  const [ca, cert, key] = await Promise.all([
    readFile(pki.authority.certificate),
    readFile(user.certificate),
    readFile(user.key),
  ]);
  return new Promise((resolve, reject) => {
    const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
    const options = { ca, cert, key, agent: false, signal: timeout };
    request(new URL(path, pki.server), options, (response) => {
      let body = '';
      response
        .setEncoding('utf8')
        .on('data', (text: string) => {
          body += text;
        })
        .on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        .on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}
