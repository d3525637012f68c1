/** The options of `enxame simulate`. */
import { type Command, Option } from 'commander';
import { runProgram } from '../run.ts';
import { examples, FOR_PEOPLE } from './declarations.ts';
import { parseBytes, parseMilliseconds, parseRate, parseSeconds, parseShare, parseWhole } from './numbers.ts';

/** Adds the simulation; its code is loaded when it is called. */
export function addSimulate(enxame: Command): void {
  enxame
    .command('simulate')
    .description('how a swarm would fare: the same decisions on a virtual network, in virtual time')
    .option('--nodes <number>', 'nodes that want the content; one seed comes on top', parseWhole, 100)
    .option('--pieces <number>', 'pieces of the content', parseWhole, 1000)
    .option('--piece-length <bytes>', 'length of a piece', parseBytes, 512 * 1024)
    .option(
      '--block-length <bytes>',
      'what is asked for at once; a quarter of a piece, and at least 16Ki, by default',
      parseBytes,
    )
    .option(
      '--rate <bytes>',
      "bytes per second of every node's link, each way; 125M is 1 Gbit/s",
      parseRate,
      125_000_000,
    )
    .option('--up <bytes>', 'bytes per second of every uplink, where it is another', parseRate)
    .option('--delay <milliseconds>', 'one way, between any two nodes', parseMilliseconds, 0.5)
    .option(
      '--delay-spread <milliseconds>',
      'links differ: each draws up to so much more',
      parseMilliseconds,
      0,
    )
    .option('--neighbours <number>', 'neighbours of a node', parseWhole, 30)
    .option(
      '--zones <number>',
      'zones that the nodes are in; a tracker tells them of each other',
      parseWhole,
      1,
    )
    .option(
      '--zone-share <share>',
      "how much of the tracker's answers is of the asker's own zone, as in enxame tracker; without it, zones are not known",
      parseShare,
    )
    .option('--zone-rate <bytes>', 'bytes per second that a zone can send to the others in all', parseRate)
    .addOption(
      new Option('--policy <policy>', 'how nodes treat each other')
        .choices(['cluster', 'classic'])
        .default('cluster'),
    )
    .option('--churn <share>', 'share of the nodes that vanish, each at a random moment', parseShare, 0)
    .option('--late <share>', 'share of the nodes that join late', parseShare, 0)
    .option('--late-by <seconds>', 'they join within so many seconds; size ÷ rate by default', parseSeconds)
    .option('--seed-loss', 'the seed vanishes as soon as every piece is held by another node too')
    .option(
      '--seed <number>',
      'decides who knows whom, ties and moments; the same gives the same result',
      parseWhole,
      1,
    )
    .option('--html <file>', 'write one page with the completion curve and the copies of pieces over time')
    .option('--json', 'print the outcome as a JSON line')
    .addHelpText(
      'after',
      examples([
        'enxame simulate --nodes 300 --html swarm.html',
        'enxame simulate --nodes 8 --rate 12.5M --pieces 256 --piece-length 256Ki',
        'enxame simulate --nodes 200 --churn 10% --late 20% --seed-loss',
        'enxame simulate --nodes 200 --zones 3 --zone-share 66%',
      ]),
    )
    .action(async (options: import('../simulation/simulation-options.ts').SimulateOptions) => {
      const { simulation } = await import('../commands/simulate.ts');
      await runProgram('simulate', simulation(options), FOR_PEOPLE);
    });
}
