/** What the figures of swarms cost, and how long they keep announces waiting. */
import { Agent, get } from 'node:http';
import { performance } from 'node:perf_hooks';
import { infoHashOf } from './load.ts';

/** Milliseconds of a call, the middle one of several, and of the slowest announce that came during them. */
export interface FiguresCost {
  readonly oneSwarmMilliseconds: number;
  readonly allSwarmsMilliseconds: number;
  readonly announceMilliseconds: number;
}

const CALLS = 21;
/** Ahead of those that are timed. */
const WARM_UP_CALLS = 5;

function timed(port: number, path: string, agent: Agent): Promise<number> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path} answers ${response.statusCode}`));
      response.on('error', reject).on('end', () => resolve(performance.now() - start));
      response.resume();
    });
    request.on('error', reject);
  });
}

async function times(port: number, path: string, agent: Agent, calls: number): Promise<number[]> {
  const taken: number[] = [];
  for (let call = 0; call < calls; call += 1) taken.push(await timed(port, path, agent));
  return taken.sort((a, b) => a - b);
}

const middle = (sorted: readonly number[]) => sorted[Math.floor(sorted.length / 2)] ?? 0;

/** Calls for figures, one after another, while announces come one after another too. */
export async function figuresCost(port: number): Promise<FiguresCost> {
  const agent = new Agent({ keepAlive: true });
  const announcer = new Agent({ keepAlive: true });
  const oneSwarm = `/swarms/${infoHashOf(0).toString('hex')}`;
  const announce = `/announce?info_hash=${'%a5'.repeat(20)}&peer_id=-LD0001-figures-----&port=1&left=1&numwant=0`;
  let slowest = 0;
  let isOver = false;
  const announcing = async () => {
    while (!isOver) slowest = Math.max(slowest, await timed(port, announce, announcer));
  };
  try {
    for (const path of [announce, oneSwarm, '/swarms']) await times(port, path, agent, WARM_UP_CALLS);
    const announces = announcing();
    const one = await times(port, oneSwarm, agent, CALLS);
    const all = await times(port, '/swarms', agent, CALLS);
    isOver = true;
    await announces;
    return {
      oneSwarmMilliseconds: middle(one),
      allSwarmsMilliseconds: middle(all),
      announceMilliseconds: slowest,
    };
  } finally {
    isOver = true;
    agent.destroy();
    announcer.destroy();
  }
}
