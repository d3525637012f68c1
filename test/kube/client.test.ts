// The client against a real HTTP server on loopback that answers as a test says.

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { loadKubeConfig } from '../../kube/access.ts';
import { createClient, type KubeClient } from '../../kube/client.ts';
import { isNamespaceEnding } from '../../kube/errors.ts';
import { PODS } from '../../kube/resource-types.ts';
import { recordingLogger } from './logs.ts';

interface Pod {
  metadata?: { name?: string; namespace?: string };
}

let server: Server;
let folder: string;
let client: KubeClient;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const seen: string[] = [];

beforeEach(async () => {
  seen.length = 0;
  server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  folder = await mkdtemp(join(tmpdir(), 'enxame-kube-'));
  const kubeconfig = join(folder, 'config');
  const named = (name: string, value: object) => [{ name: 'only', [name]: value }];
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: named('cluster', {
        server: `http://127.0.0.1:${port}`,
        'insecure-skip-tls-verify': true, // Or client-node refuses http.
      }),
      users: named('user', { token: 'secret' }),
      contexts: named('context', { cluster: 'only', user: 'only' }),
      'current-context': 'only',
    }),
  );
  client = createClient(loadKubeConfig({ kubeconfig }), { userAgent: 'test/1', logger: recordingLogger() });
});

afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const pods = () => client.resource<Pod>(PODS);
const send = (response: ServerResponse, code: number, body: unknown, headers = {}) =>
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

describe('a call', () => {
  test('says who asks, in the way that the kubeconfig says', async () => {
    let headers: IncomingMessage['headers'] = {};
    answer = (request, response) => {
      headers = request.headers;
      send(response, 200, { metadata: { name: 'a' } });
    };
    await pods().get('a', { namespace: 'n' });
    expect(headers).toMatchObject({ authorization: 'Bearer secret', 'user-agent': 'test/1' });
    expect(seen).toEqual(['GET /api/v1/namespaces/n/pods/a']);
  });

  test('fails with what the Status says', async () => {
    const message = 'pods "a" is forbidden';
    answer = (_, response) =>
      send(response, 403, { kind: 'Status', code: 403, reason: 'Forbidden', message });
    await expect(pods().get('a')).rejects.toMatchObject({ code: 403, reason: 'Forbidden', message });
  });

  test('tells a namespace that ends from a lack of rights', async () => {
    const message = 'unable to create new content in namespace n because it is being terminated';
    const causes = [{ reason: 'NamespaceTerminating', message: 'namespace n', field: 'metadata.namespace' }];
    const status = { kind: 'Status', code: 403, reason: 'Forbidden', message };
    const errorOf = () =>
      pods()
        .get('a')
        .catch((error: unknown) => error);
    answer = (_, response) => send(response, 403, { ...status, details: { causes } });
    expect(isNamespaceEnding(await errorOf())).toBe(true);
    answer = (_, response) => send(response, 403, { ...status, details: { causes: 'none' } });
    expect(isNamespaceEnding(await errorOf())).toBe(false);
  });

  test('passes on how long to wait', async () => {
    answer = (_, response) => send(response, 429, 'slow down', { 'retry-after': '3' });
    await expect(pods().get('a')).rejects.toMatchObject({ code: 429, retryAfterSeconds: 3 });
  });

  test.each([
    ['a page of some proxy', 502, '<html>bad gateway</html>', { code: 502 }],
    ['a 200 that is no JSON', 200, '<html>', { reason: 'InvalidAnswer' }],
  ])('fails with %s', async (_, code, body, error) => {
    answer = (__, response) => response.writeHead(code).end(body);
    await expect(pods().get('a')).rejects.toMatchObject(error);
  });

  test('fails when the connection is cut in mid-answer', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"metadata"');
      setTimeout(() => response.destroy(), 20);
    };
    await expect(pods().get('a')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
  });

  test('fails when nobody listens', async () => {
    server.closeAllConnections();
    server.close();
    await expect(pods().get('a')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
  });
});

describe('a list', () => {
  test('reads all pages, and gives each object its kind', async () => {
    answer = (request, response) => {
      const isSecond = request.url!.includes('continue=more');
      send(response, 200, {
        metadata: { resourceVersion: '7', ...(isSecond ? {} : { continue: 'more' }) },
        items: [{ metadata: { name: isSecond ? 'b' : 'a' } }],
      });
    };
    const { items, resourceVersion } = await pods().list({ namespace: 'n', labelSelector: 'a=b' });
    expect(items.map(({ metadata }) => metadata?.name)).toEqual(['a', 'b']);
    expect(items[0]).toMatchObject({ apiVersion: 'v1', kind: 'Pod' });
    expect(resourceVersion).toBe('7');
    expect(seen[1]).toBe('GET /api/v1/namespaces/n/pods?labelSelector=a%3Db&limit=500&continue=more');
  });

  test('begins anew, without pages, when later pages were compacted away', async () => {
    answer = (request, response) => {
      if (request.url!.includes('continue='))
        send(response, 410, { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' });
      else if (request.url!.includes('limit='))
        send(response, 200, { metadata: { resourceVersion: '7', continue: 'more' }, items: [{}] });
      else send(response, 200, { metadata: { resourceVersion: '9' }, items: [{}, {}] });
    };
    const { items, resourceVersion } = await pods().list();
    expect(items).toHaveLength(2);
    expect(resourceVersion).toBe('9');
  });
});

describe('a watch', () => {
  const options = { resourceVersion: '5', timeoutSeconds: 300, idleMilliseconds: 300 };

  test('gives events as they come, until it is left', async () => {
    answer = (_, response) => {
      response.writeHead(200);
      response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"ADD');
      setTimeout(() => response.write('ED","object":{"metadata":{"name":"b"}}}\n'), 20);
    };
    const closed = new Promise((resolve) => server.on('connection', (socket) => socket.on('close', resolve)));
    const names: unknown[] = [];
    for await (const event of pods().watch(options)) {
      if (event.type === 'ADDED') names.push(event.object.metadata?.name);
      if (names.length === 2) break;
    }
    expect(names).toEqual(['a', 'b']);
    await closed;
  });

  test('counts as dead when it is silent for too long', async () => {
    answer = (_, response) => {
      response.writeHead(200);
      response.flushHeaders();
    };
    const all = (async () => {
      for await (const _ of pods().watch(options));
    })();
    await expect(all).rejects.toMatchObject({ code: 0, reason: 'Timeout' });
  });

  test('fails with the answer of a server that refuses it', async () => {
    answer = (_, response) =>
      send(response, 410, { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' });
    await expect(pods().watch(options).next()).rejects.toMatchObject({ code: 410 });
  });
});

test('a kubeconfig that is none is named in the error', async () => {
  const kubeconfig = join(folder, 'none');
  const lost = createClient(loadKubeConfig({ kubeconfig }), { userAgent: 'u', logger: recordingLogger() });
  await expect(lost.resource<Pod>(PODS).get('a')).rejects.toMatchObject({
    reason: 'InvalidConfiguration',
    message: expect.stringContaining(kubeconfig),
  });
});
