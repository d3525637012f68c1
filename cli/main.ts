/**
 * The subcommands of `enxame` and their options. Each subcommand's code is imported when it is called and not
 * before: what one program does not need costs it neither time nor memory.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { EXIT_USAGE, inOneLine } from './errors.ts';
import { runProgram } from './run.ts';
import { VERSION } from './version.ts';

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('it must be a positive number of seconds');
  return value;
}

/** The command line; nothing runs until it parses arguments. */
function commandLine(): Command {
  const enxame = new Command('enxame')
    .description('Puts the same large content on every node of a Kubernetes cluster, by BitTorrent.')
    .version(`enxame ${VERSION}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} }); // main() reports errors, in one line.

  enxame
    .command('operator')
    .description('the operator: watches ContentDistributions and has them carried out')
    .action(async () => {
      const { operator } = await import('./operator.ts');
      await runProgram('operator', operator);
    });

  enxame
    .command('agent')
    .description('the node agent: fetches, holds and serves content on its node')
    .action(async () => {
      const { agent } = await import('./agent.ts');
      await runProgram('agent', agent);
    });

  enxame
    .command('publish')
    .description('the publisher: reads a source once and streams it to one agent')
    .action(async () => {
      const { publish } = await import('./publish.ts');
      await runProgram('publish', publish);
    });

  enxame
    .command('tracker')
    .description('a BitTorrent tracker and web server of .torrent files')
    .option('--listen <host:port>', 'where to listen', '[::]:6969')
    .option(
      '--torrents <dir>',
      'serve the torrents whose .torrent files lie in this folder, which is watched',
    )
    .option('--revisions', "serve the torrents of the cluster's ContentRevisions")
    .option('--open', 'serve any info hash')
    .option('--metrics <host:port>', 'serve /metrics there and not on the main port')
    .option('--json', 'print events as JSON lines on stdout, and logs on stderr')
    .action(async (options: import('./tracker.ts').TrackerOptions) => {
      const { tracker } = await import('./tracker.ts');
      await runProgram('tracker', tracker(options), { logTo: options.json ? 'stderr' : 'stdout' });
    });

  enxame
    .command('wait')
    .description('waits until this node holds the content of a distribution (for init containers)')
    .argument('<namespace/name>', 'the distribution')
    .option('--revision <revision>', 'wait for this revision (its first 12 hex digits) to be the active one')
    .option('--timeout <seconds>', 'give up after so many seconds; without it, wait for ever', seconds)
    .action(async (distribution: string, options: { revision?: string; timeout?: number }) => {
      const { wait } = await import('./wait.ts');
      await runProgram('wait', wait(distribution, options), { logTo: 'stderr' });
    });

  return enxame;
}

/** Runs the command that the arguments name. Long-lived commands end the process themselves. */
export async function main(args: readonly string[]): Promise<void> {
  const enxame = commandLine();
  if (args.length === 0) {
    process.stderr.write(enxame.helpInformation());
    process.exitCode = EXIT_USAGE;
    return;
  }
  try {
    await enxame.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return; // Help or version, already printed.
    process.stderr.write(
      `enxame: ${inOneLine(error)
        .replace(/^error: /, '')
        .replace(' is invalid. ', ' is invalid: ')}; see 'enxame --help'\n`,
    );
    process.exitCode = EXIT_USAGE;
  }
}
