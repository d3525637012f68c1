// An agent as far as a publisher can see it: the ingest protocol over HTTP on loopback, in memory, with faults
// that a test can ask for.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type FailRequest,
  type IngestErrorCode,
  IngestErrorStatus,
  type IngestStatus,
  type PlanRequest,
  parseIngest,
} from '../../api/index.ts';

export const UID = '7b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c11';
export const ATTEMPT = 3;

export interface AgentFaults {
  /** Answers to give before the real one, one a call. */
  refuse?: IngestErrorCode[];
  /** Break the connection of the first body once so many bytes of it came. */
  breakAfterBytes?: number;
  /** Refuse a body with this code once so many bytes of it came. */
  refuseBody?: { afterBytes: number; code: IngestErrorCode };
  /** Answer a body with OffsetMismatch once. */
  offsetMismatchOnce?: boolean;
  /** Break the connection instead of answering the end of the files, which is taken note of. */
  finishAnswersLost?: boolean;
}

interface HeldFile {
  bytes: Buffer[];
  length: number;
  complete: boolean;
  validator: string | null;
}

export class FakeAgent {
  readonly faults: AgentFaults;
  readonly tokens: string[] = [];
  readonly plans: PlanRequest[] = [];
  readonly failures: FailRequest[] = [];
  readonly held = new Map<string, HeldFile>();
  status: IngestStatus = { phase: 'Reserved' };
  /** Bytes that arrived in all, accepted or not. */
  receivedBytes = 0;
  #server: Server;

  private constructor(faults: AgentFaults) {
    this.faults = faults;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        response.destroy(error as Error);
      });
    });
  }

  static async start(faults: AgentFaults = {}): Promise<FakeAgent> {
    const agent = new FakeAgent(faults);
    await new Promise<void>((resolve) => agent.#server.listen(0, '127.0.0.1', resolve));
    return agent;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What the agent has of a file. */
  content(path: string): Buffer {
    return Buffer.concat(this.held.get(path)?.bytes ?? []);
  }

  /** As if another publisher had sent this much before. */
  preload(path: string, bytes: Buffer, validator: string | null): void {
    this.held.set(path, { bytes: [bytes], length: bytes.length, complete: false, validator });
  }

  #refuse(response: ServerResponse, code: IngestErrorCode, extra: object = {}): void {
    response.writeHead(IngestErrorStatus[code], { 'content-type': 'application/json' });
    response.end(JSON.stringify({ code, message: `the fake agent says ${code}`, ...extra }));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.tokens.push(request.headers.authorization ?? '');
    const refusal = this.faults.refuse?.shift();
    if (refusal !== undefined) {
      request.resume();
      this.#refuse(response, refusal);
      return;
    }
    const url = new URL(request.url ?? '', 'http://agent');
    const base = `/ingest/${UID}/${ATTEMPT}`;
    if (!url.pathname.startsWith(base)) {
      this.#refuse(response, 'NoReservation');
      return;
    }
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const route = `${request.method} ${url.pathname.slice(base.length)}`;
    const plan = this.plans.at(-1);

    if (route === 'GET ') return answer(200, this.status);
    const fileRoute = /^(PUT|POST) \/files\/([0-9]+)(\/finish)?$/.exec(route);
    if (fileRoute !== null) {
      const planned = plan?.files[Number(fileRoute[2])];
      const held = this.held.get(planned?.path ?? '');
      if (planned === undefined || held === undefined) return this.#refuse(response, 'WrongPhase');
      if (fileRoute[1] === 'PUT') {
        return await this.#receive(request, response, held, Number(url.searchParams.get('offset')), answer);
      }
      const { sizeBytes } = parseIngest.fileFinishRequest(await readJson(request));
      const sha256 = createHash('sha256').update(Buffer.concat(held.bytes)).digest('hex');
      if (held.length !== sizeBytes) return this.#refuse(response, 'OffsetMismatch', { offset: held.length });
      if (planned.sha256 !== null && planned.sha256 !== sha256) {
        this.held.delete(planned.path);
        return this.#refuse(response, 'ChecksumMismatch');
      }
      held.complete = true;
      return answer(200, { sha256 });
    }
    const body = request.method === 'GET' ? undefined : await readJson(request);
    switch (route) {
      case 'PUT /plan': {
        const next = parseIngest.planRequest(body);
        this.plans.push(next);
        this.status = { phase: 'Receiving' };
        const files = next.files.map((file) => {
          let held = this.held.get(file.path);
          if (held === undefined || held.validator !== file.validator) {
            held = { bytes: [], length: 0, complete: false, validator: file.validator };
            this.held.set(file.path, held);
          }
          return { offset: held.length, complete: held.complete };
        });
        return answer(200, { files });
      }
      case 'POST /finish':
        if (this.status.phase !== 'Receiving') return this.#refuse(response, 'WrongPhase');
        if (this.faults.finishAnswersLost === true) {
          this.status = { phase: 'Published', digest: `sha256:${'0'.repeat(64)}` };
          request.socket.destroy();
          return;
        }
        this.status = { phase: 'Published', digest: `sha256:${'0'.repeat(64)}` };
        return answer(202, {});
      case 'POST /fail':
        this.failures.push(parseIngest.failRequest(body));
        return answer(200, {});
      default:
        return this.#refuse(response, 'InvalidRequest');
    }
  }

  async #receive(
    request: IncomingMessage,
    response: ServerResponse,
    held: HeldFile,
    offset: number,
    answer: (status: number, body: unknown) => void,
  ): Promise<void> {
    if (this.faults.offsetMismatchOnce === true) {
      this.faults.offsetMismatchOnce = false;
      request.resume();
      return this.#refuse(response, 'OffsetMismatch', { offset: held.length });
    }
    if (offset !== held.length) return this.#refuse(response, 'OffsetMismatch', { offset: held.length });
    let bodyBytes = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bodyBytes += chunk.length;
        this.receivedBytes += chunk.length;
        held.bytes.push(chunk);
        held.length += chunk.length;
        const { breakAfterBytes, refuseBody } = this.faults;
        if (breakAfterBytes !== undefined && bodyBytes >= breakAfterBytes) {
          delete this.faults.breakAfterBytes;
          request.destroy();
          return;
        }
        if (refuseBody !== undefined && bodyBytes >= refuseBody.afterBytes) {
          this.#refuse(response, refuseBody.code);
          return;
        }
      }
    } catch {
      // The publisher went away in mid-body: what came is kept.
      return;
    }
    answer(200, { offset: held.length });
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}
