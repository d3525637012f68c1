/** Where a tracker's log lines go; pino's loggers fit. */
export interface TrackerLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
