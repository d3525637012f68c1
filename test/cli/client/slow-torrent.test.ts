// A torrent that comes slowly from a web server: who sits at a terminal is told.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { shippedProgram } from '../enxame-process.ts';

/** Gives the program a terminal, and passes on what it writes there. */
const WITH_TERMINAL = 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)';

test('says on a terminal that the torrent is being fetched', async () => {
  const waiting: ServerResponse[] = [];
  const server = createServer((_, response) => {
    response.write('d');
    waiting.push(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.torrent`;
  const program = [process.execPath, shippedProgram(), 'inspect', url];
  const child = spawn('python3', ['-c', WITH_TERMINAL, ...program], {
    env: { PATH: process.env.PATH, TERM: 'xterm' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    said += chunk;
    // The torrent ends here, and is none.
    if (said.includes('fetching the torrent  1 B'))
      for (const response of waiting.splice(0)) response.end('e');
  }
  expect(said).toContain('fetching the torrent  1 B');
  expect(said).toMatch(/enxame inspect: http:\S+ is no torrent that can be used/);
  server.close();
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(2);
});
