/** `enxame operator`: the operator. */
import { runOperator } from '../../operator/main.ts';
import type { Program } from '../run.ts';

export const operator: Program = ({ env, signal, logger }) => runOperator(env, { signal, logger });
