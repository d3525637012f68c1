/**
 * The subcommands of `enxame` and their options. Each subcommand's code is imported when it is called and not
 * before: what one program does not need costs it neither time nor memory.
 */
import { Command, CommanderError } from 'commander';
import { EXIT_USAGE, inOneLine } from './errors.ts';
import { addClientCommands } from './options/client.ts';
import { parseSeconds } from './options/numbers.ts';
import { addSimulate } from './options/simulate.ts';
import { addTracker } from './options/tracker.ts';
import { runProgram } from './run.ts';
import { VERSION } from './version.ts';

/** The command line; nothing runs until it parses arguments. */
function commandLine(): Command {
  const enxame = new Command('enxame')
    .description(
      'Puts the same large content on every node of a Kubernetes cluster, by BitTorrent.\n' +
        'On its own it is a BitTorrent client: create, inspect, download, seed, tracker, simulate.',
    )
    .version(`enxame ${VERSION}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} }); // main() reports errors, in one line.

  enxame.commandsGroup('On any machine:');
  addClientCommands(enxame);
  addTracker(enxame);
  addSimulate(enxame);

  enxame.commandsGroup('In a cluster:');
  enxame
    .command('operator')
    .description('the operator: watches ContentDistributions and has them carried out')
    .action(async () => {
      const { operator } = await import('./commands/operator.ts');
      await runProgram('operator', operator);
    });

  enxame
    .command('agent')
    .description('the node agent: fetches, holds and serves content on its node')
    .action(async () => {
      const { agent } = await import('./commands/agent.ts');
      await runProgram('agent', agent);
    });

  enxame
    .command('publish')
    .description('the publisher: reads a source once and streams it to one agent')
    .action(async () => {
      const { publish } = await import('./commands/publish.ts');
      await runProgram('publish', publish);
    });

  enxame
    .command('wait')
    .description('waits until this node holds the content of a distribution (for init containers)')
    .argument('<namespace/name>', 'the distribution')
    .option('--revision <revision>', 'wait for this revision (its first 12 hex digits) to be the active one')
    .option('--timeout <seconds>', 'give up after so many seconds; without it, wait for ever', parseSeconds)
    .action(async (distribution: string, options: { revision?: string; timeout?: number }) => {
      const { wait } = await import('./commands/wait.ts');
      await runProgram('wait', wait(distribution, options), { logTo: 'stderr' });
    });

  return enxame;
}

/** What is wrong with the command line, in one line; commander's suggestion stands in a second one. */
function usageText(error: CommanderError): string {
  const text = error.message.replace(/\n\(Did you mean (one of )?(.*)\?\)$/, (_, _several, names: string) => {
    const quoted = names.split(', ').map((name) => `'${name}'`);
    return `; did you mean ${quoted.join(' or ')}?`;
  });
  return inOneLine(new Error(text))
    .replace(/^error: /, '')
    .replace(' is invalid. ', ' is invalid: ');
}

/** `enxame help COMMAND`, as many programs have it, in the words of this one; an unknown command stays unknown. */
function helpOf(enxame: Command, [name, ...rest]: readonly string[]): readonly string[] {
  if (name === undefined) return ['--help'];
  const isKnown = enxame.commands.some((command) => command.name() === name);
  return isKnown ? [name, '--help'] : [name, ...rest];
}

/** Runs the command that the arguments name. Long-lived commands end the process themselves. */
export async function main(given: readonly string[]): Promise<void> {
  const enxame = commandLine();
  const args = given[0] === 'help' ? helpOf(enxame, given.slice(1)) : given;
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
    const command = enxame.commands.find((each) => each.name() === args[0]);
    const help = command === undefined ? 'enxame --help' : `enxame ${command.name()} --help`;
    const told = usageText(error);
    process.stderr.write(`enxame: ${told}${told.endsWith('?') ? '' : ';'} see '${help}'\n`);
    process.exitCode = EXIT_USAGE;
  }
}
