/** `enxame agent`: the node agent. */
import { runAgent } from '../../agent/main.ts';
import type { Program } from '../run.ts';

export const agent: Program = ({ env, signal, logger }) => runAgent(env, { signal, logger });
