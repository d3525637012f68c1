import { expect, test } from '@jest/globals';
import { type AgentIdentity, AgentTokens } from '../../../tracker/rights/agent-tokens.ts';
import { announceKey, KeyRights } from '../../../tracker/rights/rights.ts';
import { OPEN_LIST } from '../../../tracker/torrents/torrents.ts';
import { startTracker } from '../../../tracker/tracker.ts';
import { announceQuery } from '../announce-query.ts';
import { collectedLog } from '../collected-log.ts';

const MINUTE = 60_000;
const A = 'aa'.repeat(20);
const jwt = (exp: number) => `h.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.s`;

/** Tokens, a clock, and a judge whose word can be set. */
function stage() {
  const state = {
    now: 0,
    asked: 0,
    answer: async (): Promise<AgentIdentity | undefined> => ({ node: 'n1' }),
  };
  const tokens = new AgentTokens({
    judge: () => {
      state.asked += 1;
      return state.answer();
    },
    logger: collectedLog(),
    now: () => state.now,
    date: () => state.now,
  });
  return { state, tokens };
}

test('a good token is judged once, also by two at once, and anew after five minutes', async () => {
  const { state, tokens } = stage();
  const both = await Promise.all([tokens.check(jwt(3600)), tokens.check(jwt(3600))]);
  expect(both.map(({ agent }) => agent?.node)).toEqual(['n1', 'n1']);
  expect(state.asked).toBe(1);
  state.now = 5 * MINUTE - 1;
  expect(tokens.check(jwt(3600))).toMatchObject({ result: 'agent' });
  state.now = 5 * MINUTE;
  expect(await tokens.check(jwt(3600))).toMatchObject({ result: 'agent' });
  expect(state.asked).toBe(2);
});

test('no verdict outlives its token', async () => {
  const { state, tokens } = stage();
  expect(await tokens.check(jwt(60))).toMatchObject({ untilMilliseconds: MINUTE });
  state.now = MINUTE;
  state.answer = () => Promise.reject(new Error('away'));
  expect(await tokens.check(jwt(60))).toMatchObject({ result: 'unknown', agent: undefined });
});

test('while the judge is away, what was good stays good, and new tokens are unknown for a second', async () => {
  const { state, tokens } = stage();
  await tokens.check(jwt(3600));
  state.now = 10 * MINUTE;
  state.answer = () => Promise.reject(new Error('away'));
  for (let round = 0; round < 3; round += 1) {
    expect(await tokens.check(jwt(3600))).toMatchObject({ result: 'agent', agent: { node: 'n1' } });
    state.now += MINUTE;
  }
  expect(await tokens.check('new')).toMatchObject({ result: 'unknown' });
  const { asked } = state;
  expect(tokens.check('new')).toMatchObject({ result: 'unknown' });
  expect(state.asked).toBe(asked);
});

test('a bad token is remembered briefly', async () => {
  const { state, tokens } = stage();
  state.answer = async () => undefined;
  expect(await tokens.check('bad')).toMatchObject({ result: 'stranger' });
  expect(tokens.check('bad')).toMatchObject({ result: 'stranger' });
  expect(tokens.check('x'.repeat(10_000))).toMatchObject({ result: 'stranger' });
  expect(state.asked).toBe(1);
  state.now = 10_000;
  await tokens.check('bad');
  expect(state.asked).toBe(2);
});

test('over HTTP the token gives the right, to its own node alone; others need the key', async () => {
  const secret = Buffer.from('0123456789abcdef');
  const asked: string[] = [];
  const tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    rights: new KeyRights(secret),
    judgeToken: async (token) => {
      asked.push(token);
      if (token === 'away') throw new Error('away');
      return token === 'good' ? { node: 'n1' } : undefined;
    },
    logger: collectedLog(),
  });
  const announce = async (more: string, token?: string, path = '/announce') =>
    (
      await fetch(`http://127.0.0.1:${tracker.port}${path}?${announceQuery()}${more}`, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      })
    ).text();
  try {
    for (let round = 0; round < 2; round += 1)
      // Whoever proves that it is an agent is told to come back soon.
      expect(await announce('&node=n1&ip=10.1.2.3', 'good')).toMatch(/8:intervali(9|10|11)e/);
    expect(await announce('&node=n2', 'good')).toContain('not of the node n2');
    expect(await announce('', 'bad')).toContain('not a valid one');
    expect(await announce('', 'away')).toContain('8:retry ini1e');
    expect(await announce('')).toContain('wants the token');
    expect(await announce('', undefined, `/announce/${announceKey(secret, A)}`)).toMatch(/8:intervali3\d\de/);
    expect(asked).toEqual(['good', 'bad', 'away']);
  } finally {
    await tracker.close();
  }
});
