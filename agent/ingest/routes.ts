// The ingest protocol over HTTP (api/ingest.ts). Invariant: every call is authenticated before anything else is
// looked at, and every refusal is a code of the protocol.
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, type IngestError, IngestErrorStatus, parseIngest } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { isUid } from '../content-root/layout.ts';
import { type Authenticator, expectReserved } from './authenticate.ts';
import { IngestRefusal } from './errors.ts';
import type { Ingest } from './ingest.ts';
import type { Publication } from './publication.ts';

/** A plan names up to 100,000 files. */
const MAX_PLAN_BYTES = 64 * 1024 * 1024;
const STREAM_TYPE = 'application/octet-stream';

interface IngestParams {
  uid: string;
  attempt: string;
  index?: string;
}

function wholeNumber(text: string | undefined, what: string): number {
  const value = Number(text);
  if (text === undefined || !/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw new IngestRefusal('InvalidRequest', `${what} must be a whole number`);
  return value;
}

function refusalOf(error: unknown): IngestRefusal {
  if (error instanceof IngestRefusal) return error;
  if (error instanceof ApiError) return new IngestRefusal('InvalidRequest', error.message, { cause: error });
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new IngestRefusal('InvalidRequest', (error as Error).message, { cause: error });
  return new IngestRefusal('Internal', 'the agent failed; its log says why', { cause: error });
}

/** Adds the calls to a server. */
export function addIngestRoutes(
  server: FastifyInstance,
  { ingest, authenticator, logger }: { ingest: Ingest; authenticator: Authenticator; logger: Logger },
): void {
  const find = async (request: FastifyRequest): Promise<Publication> => {
    const { uid, attempt } = request.params as IngestParams;
    const owner = await authenticator.authenticate(request.headers.authorization);
    if (!isUid(uid)) throw new IngestRefusal('InvalidRequest', 'the path must hold a UID');
    expectReserved(ingest.reservation(uid), wholeNumber(attempt, 'the attempt'), owner);
    return ingest.publication(uid);
  };

  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = refusalOf(error);
    const { uid } = request.params as IngestParams;
    if (refusal.code === 'Internal') logger.error({ err: error, uid }, 'a call of a publisher failed');
    else logger.info({ code: refusal.code, uid }, `a publisher was refused: ${refusal.message}`);
    const body: IngestError = {
      code: refusal.code,
      message: refusal.message,
      ...(refusal.offset === undefined ? {} : { offset: refusal.offset }),
    };
    // What is left of a body is not read.
    if (request.raw.readableEnded === false) reply.header('connection', 'close');
    return reply.code(IngestErrorStatus[refusal.code]).send(body);
  };

  void server.register(
    async (scope) => {
      scope.addContentTypeParser(STREAM_TYPE, (_request, payload, done) => done(null, payload));
      scope.setErrorHandler((error, request, reply) => refuse(error, request, reply));

      scope.get('/', async (request) => (await find(request)).status());

      scope.put('/plan', {
        bodyLimit: MAX_PLAN_BYTES,
        // Before the body is read: a plan may be large.
        onRequest: async (request) => {
          await find(request);
        },
        handler: async (request) => (await find(request)).plan(parseIngest.planRequest(request.body)),
      });

      scope.put('/files/:index', async (request) => {
        const publication = await find(request);
        const index = wholeNumber((request.params as IngestParams).index, 'the index');
        const offset = wholeNumber((request.query as { offset?: string }).offset, 'the offset');
        if (request.body === undefined || typeof (request.body as Readable).pipe !== 'function')
          throw new IngestRefusal('InvalidRequest', `the body must be ${STREAM_TYPE}`);
        return publication.receive(index, offset, request.body as Readable);
      });

      scope.post('/files/:index/finish', async (request) => {
        const publication = await find(request);
        const index = wholeNumber((request.params as IngestParams).index, 'the index');
        return publication.finishFile(index, parseIngest.fileFinishRequest(request.body).sizeBytes);
      });

      scope.post('/finish', async (request, reply) => {
        await (await find(request)).finish();
        return reply.code(202).send({});
      });

      scope.post('/fail', async (request) => {
        const { reason, message } = parseIngest.failRequest(request.body);
        await (await find(request)).fail(reason, message);
        return {};
      });
    },
    { prefix: '/ingest/:uid/:attempt' },
  );
}
