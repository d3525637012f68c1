/** `enxame publish`: the publisher. */
import { runPublisher } from '../../publisher/main.ts';
import type { Program } from '../run.ts';

export const publish: Program = ({ env, signal, logger }) => runPublisher(env, { signal, logger });
