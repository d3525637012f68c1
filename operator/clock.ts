// Time, handed in.

/** Milliseconds since 1970; Date.now outside of tests. */
export type Clock = () => number;
