// Where the agent's log lines go; pino's loggers fit.

/** As much of a logger as the agent needs. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
