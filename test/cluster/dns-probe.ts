/**
 * Asks one DNS server for the address of a name, and exits with an error unless it knows it:
 *
 *     node dns-probe.ts SERVER NAME
 */
import { Resolver } from 'node:dns/promises';

const [server = '', name = ''] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 1_000, tries: 1 });
resolver.setServers([server]);
await resolver.resolve4(name);
