/** The least that Node's own HTTP server does: an answer of the same length as an announce's, always the same. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const body = Buffer.from(
  `d8:completei0e10:downloadedi0e10:incompletei100000e8:intervali100e12:min intervali20e5:peers300:${'x'.repeat(300)}e`,
);
const server = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
  response.end(body);
});
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(
    `${JSON.stringify({ event: 'listening', port: (server.address() as AddressInfo).port })}\n`,
  ),
);
