/** HOST:PORT as the options of the command line take it. */
import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';

const LARGEST_PORT = 65_535;

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 takes any port that is free. */
  readonly port: number;
}

/**
 * Parses `HOST:PORT`; IPv6 addresses stand in brackets. Without a host it is every address of the machine.
 *
 * @param option the option's name, for the message
 * @throws UsageError
 */
export function parseListenAddress(option: string, text: string): ListenAddress {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const bracketed = match?.[1];
  if (!match || port > LARGEST_PORT || (bracketed !== undefined && isIP(bracketed) !== 6))
    throw new UsageError(
      `${option} is '${text}'; it must be HOST:PORT, for example 127.0.0.1:6969 or [::]:6969`,
    );
  return { host: bracketed || match[2] || '::', port };
}
