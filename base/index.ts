// The door of the ground floor: what every room uses and no room owns. It imports nothing of ours.
export * from './backoff.ts';
export * from './clock.ts';
export * from './errors.ts';
export * from './logger.ts';
export * from './mutex.ts';
