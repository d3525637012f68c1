/**
 * Carries connections from one place to another, each a port of loopback or a Unix socket:
 *
 *     node forwarder.ts FROM TO        such as  127.0.0.1:40123 /path/api.sock
 *
 * Two of them lead from the machine's loopback to the API server: one in the control plane's network namespace,
 * which nothing outside reaches, and one outside, with a Unix socket between.
 */
import { rmSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts } from 'node:net';

function place(text: string): { path: string } | { host: string; port: number } {
  if (text.startsWith('/')) return { path: text };
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

const [from = '', to = ''] = process.argv.slice(2);
const target: NetConnectOpts = place(to);

const server = createServer({ allowHalfOpen: true }, (incoming) => {
  const outgoing = connect({ ...target, allowHalfOpen: true });
  incoming.setNoDelay(true);
  outgoing.setNoDelay(true);
  // What breaks one side breaks the other: an API server that is killed must look so from outside.
  incoming.on('error', () => outgoing.destroy());
  outgoing.on('error', () => incoming.destroy());
  incoming.on('close', () => outgoing.destroy());
  outgoing.on('close', () => incoming.destroy());
  incoming.pipe(outgoing);
  outgoing.pipe(incoming);
});
if (from.startsWith('/')) rmSync(from, { force: true });
server.listen(place(from));
