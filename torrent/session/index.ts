// The second door of the engine, for programs that run swarms: it is apart from torrent/index.ts, so that a program that
// reads torrents only does not load what joins them.
export { Session } from './session.ts';
export * from './types.ts';
