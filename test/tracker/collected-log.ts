// A logger that keeps what it is told, for the tests.
import type { Logger } from '../../base/index.ts';

/** Messages by level. */
export interface CollectedLog extends Logger {
  readonly lines: { level: string; message: string; fields: object }[];
}

export function collectedLog(): CollectedLog {
  const lines: CollectedLog['lines'] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields });
  };
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
