// Files from web servers.
//
// Invariant: the bytes that open() gives are those of the file that resolve() saw, from the asked offset on:
// sizes and validators are compared with each answer, and a server that ignores Range is read past what is
// already there.
import { type Dispatcher, errors } from 'undici';
import { type HttpFileSpec, type HttpSourceSpec, SourceReason } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { PublishError } from '../errors.ts';
import { discard, headerText, request, shownUrl, stallError, statusError } from './http-request.ts';
import type { Source, SourceFile } from './source.ts';

/** Files that are asked for their size at the same time. */
const RESOLVE_CONCURRENCY = 8;

interface Seen {
  sizeBytes: number | null;
  validator: string | null;
}

/** `bytes 5-9/10` as its parts; `total` is null where the server does not know it. */
function parseContentRange(
  text: string | undefined,
): { first: number; last: number; total: number | null } | undefined {
  const match = /^bytes ([0-9]{1,16})-([0-9]{1,16})\/([0-9]{1,16}|\*)$/.exec(text ?? '');
  if (match === null) return undefined;
  return {
    first: Number(match[1]),
    last: Number(match[2]),
    total: match[3] === '*' ? null : Number(match[3]),
  };
}

function contentLength(response: Dispatcher.ResponseData): number | null {
  const text = headerText(response, 'content-length');
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

function validatorOf(response: Dispatcher.ResponseData): string | null {
  const etag = headerText(response, 'etag');
  if (etag !== undefined && etag.length <= 512) return `etag:${etag}`;
  const modified = headerText(response, 'last-modified');
  return modified !== undefined && modified.length <= 64 ? `modified:${modified}` : null;
}

/** What If-Range may carry: a strong ETag or a date (RFC 9110, 13.1.5). */
function ifRange(validator: string | null): Record<string, string> {
  const value = validator?.slice(validator.indexOf(':') + 1);
  return value === undefined || value.startsWith('W/') ? {} : { 'if-range': value };
}

function rejectEncoding(response: Dispatcher.ResponseData, url: URL): void {
  const encoding = headerText(response, 'content-encoding');
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new PublishError(
      SourceReason.BadResponse,
      `${shownUrl(url)} answered with a content-encoding although identity was asked for`,
    );
  }
}

/** A source that reads files from web servers through `dispatcher`. */
export function createHttpSource(options: {
  spec: HttpSourceSpec;
  headers: Record<string, string>;
  /** Connects; its connector refuses forbidden addresses. A proxy or private authorities are put in here. */
  dispatcher: Dispatcher;
  /** Longest silence of a server, in milliseconds. */
  stallMs: number;
  logger: Logger;
}): Source {
  const { spec, headers: declaredHeaders, dispatcher, stallMs, logger } = options;
  const declared = new Map<string, { file: HttpFileSpec; url: URL }>();
  for (const file of spec.files) {
    const url = URL.parse(file.url);
    if (
      url === null ||
      !['http:', 'https:'].includes(url.protocol) ||
      url.username !== '' ||
      url.password !== ''
    ) {
      throw new PublishError(
        SourceReason.Invalid,
        `the URL of ${file.path} must be an http or https URL without user name and password`,
      );
    }
    url.hash = '';
    declared.set(file.path, { file, url });
  }

  function ask(url: URL, method: 'HEAD' | 'GET', headers: Record<string, string>, signal: AbortSignal) {
    return request(dispatcher, { method, url, declaredHeaders, headers, stallMs, signal });
  }

  /** Size and validator by HEAD, or by the first byte where a server has no answer to HEAD. */
  async function look(url: URL, signal: AbortSignal): Promise<Seen> {
    const head = await ask(url, 'HEAD', {}, signal);
    await discard(head.response);
    if (head.response.statusCode === 200) {
      rejectEncoding(head.response, head.url);
      const sizeBytes = contentLength(head.response);
      // Some servers say 0 to every HEAD; a file that really is empty is found out below.
      if (sizeBytes !== null && sizeBytes > 0) return { sizeBytes, validator: validatorOf(head.response) };
    }
    const { response, url: answered } = await ask(url, 'GET', { range: 'bytes=0-0' }, signal);
    const validator = validatorOf(response);
    if (response.statusCode === 200) {
      // Range was ignored: the whole file is on its way, and is not wanted yet.
      response.body.on('error', () => {}).destroy();
      rejectEncoding(response, answered);
      return { sizeBytes: contentLength(response), validator };
    }
    await discard(response);
    if (response.statusCode === 206) {
      rejectEncoding(response, answered);
      return {
        sizeBytes: parseContentRange(headerText(response, 'content-range'))?.total ?? null,
        validator,
      };
    }
    // No first byte: the file is empty.
    if (response.statusCode === 416 && headerText(response, 'content-range') === 'bytes */0') {
      return { sizeBytes: 0, validator };
    }
    throw statusError(response, answered);
  }

  function changed(url: URL): PublishError {
    return new PublishError(SourceReason.Changed, `${shownUrl(url)} changed while it was being read`);
  }

  function checkSame(
    file: SourceFile,
    response: Dispatcher.ResponseData,
    total: number | null,
    url: URL,
  ): void {
    const validator = validatorOf(response);
    if (file.validator !== null && validator !== null && file.validator !== validator) throw changed(url);
    if (file.sizeBytes !== null && total !== null && file.sizeBytes !== total) throw changed(url);
  }

  /** How many bytes of the body come before the asked offset. Throws for an answer that cannot be used. */
  function judge(file: SourceFile, offset: number, response: Dispatcher.ResponseData, url: URL): number {
    if (response.statusCode === 200) {
      rejectEncoding(response, url);
      checkSame(file, response, contentLength(response), url);
      if (offset > 0)
        logger.warn({ path: file.path, offset }, 'source ignores Range: reading past what is there');
      return offset;
    }
    if (response.statusCode === 206 && offset > 0) {
      rejectEncoding(response, url);
      const range = parseContentRange(headerText(response, 'content-range'));
      if (range === undefined || range.first !== offset) {
        throw new PublishError(
          SourceReason.BadResponse,
          `${shownUrl(url)} answered a range request with another range than the one asked for`,
        );
      }
      checkSame(file, response, range.total, url);
      return 0;
    }
    // The file became shorter than what was already read of it.
    if (response.statusCode === 416) throw changed(url);
    throw statusError(response, url);
  }

  return {
    async resolve(signal) {
      const paths = [...declared.values()];
      const files: SourceFile[] = new Array(paths.length);
      // The first failure ends the other requests too.
      const group = new AbortController();
      const both = AbortSignal.any([signal, group.signal]);
      let next = 0;
      const worker = async () => {
        while (next < paths.length) {
          const index = next;
          next += 1;
          const entry = paths[index]!;
          const { sizeBytes, validator } = await look(entry.url, both);
          files[index] = {
            path: entry.file.path,
            executable: entry.file.executable ?? false,
            sizeBytes,
            sha256: entry.file.sha256?.toLowerCase() ?? null,
            validator,
          };
        }
      };
      const workers = Array.from({ length: Math.min(RESOLVE_CONCURRENCY, paths.length) }, worker);
      try {
        await Promise.all(workers);
      } catch (error) {
        group.abort(error);
        await Promise.allSettled(workers);
        throw error;
      }
      return files;
    },

    async *open(file, offset, signal) {
      const entry = declared.get(file.path);
      if (entry === undefined) throw new PublishError(SourceReason.Invalid, `${file.path} is not declared`);
      const headers = offset === 0 ? {} : { range: `bytes=${offset}-`, ...ifRange(file.validator) };
      const { response, url } = await ask(entry.url, 'GET', headers, signal);
      let toSkip: number;
      try {
        toSkip = judge(file, offset, response, url);
      } catch (error) {
        response.body.on('error', () => {}).destroy();
        throw error;
      }
      try {
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          if (toSkip >= chunk.length) {
            toSkip -= chunk.length;
          } else {
            yield toSkip === 0 ? chunk : chunk.subarray(toSkip);
            toSkip = 0;
          }
        }
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof errors.BodyTimeoutError) throw stallError(url, stallMs, error);
        throw new PublishError(SourceReason.EndedEarly, `the connection to ${url.host} broke off`, {
          cause: error,
          passing: true,
        });
      }
    },
  };
}
