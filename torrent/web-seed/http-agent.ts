// The HTTP connections of all web seeds of the process. A module of its own, so that undici is loaded with the first
// web seed and not with every start. Invariant: undici is imported statically, by names; what a dynamic import of a
// CommonJS package gives in a bundle has a default export and no names.
import { Agent, type Dispatcher } from 'undici';
import { lookupServer } from '../discovery/name-lookups.ts';

const CONNECT_TIMEOUT_MILLISECONDS = 5000;
/** Time to the first byte, and between bytes. */
const IDLE_TIMEOUT_MILLISECONDS = 10_000;

/** Connections to one origin, of all torrents together. */
const CONNECTIONS_PER_ORIGIN = 8;

/** What every web seed of the process asks through. */
export const webSeedDispatcher: Dispatcher = new Agent({
  connect: { timeout: CONNECT_TIMEOUT_MILLISECONDS, lookup: lookupServer },
  connections: CONNECTIONS_PER_ORIGIN,
  headersTimeout: IDLE_TIMEOUT_MILLISECONDS,
  bodyTimeout: IDLE_TIMEOUT_MILLISECONDS,
});
