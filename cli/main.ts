/**
 * The subcommands of `enxame` and their options. Each subcommand's code is imported when it is called and not
 * before: what one program does not need costs it neither time nor memory.
 */
import { Command, CommanderError, Option } from 'commander';
import { EXIT_USAGE, inOneLine } from './errors.ts';
import {
  parseBytes,
  parseMilliseconds,
  parseRate,
  parseSeconds,
  parseShare,
  parseWhole,
} from './options/numbers.ts';
import { runProgram } from './run.ts';
import { VERSION } from './version.ts';

/** Gathers an option that may be given several times. */
function gather(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Commands for people: nothing but what they print themselves, unless ENXAME_LOG_LEVEL asks for more. */
const FOR_PEOPLE = { logTo: 'stderr', quiet: true } as const;

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

function addTracker(enxame: Command): void {
  enxame
    .command('tracker')
    .description('a BitTorrent tracker and web server of .torrent files')
    .option(
      '--listen <host:port>',
      'where to listen; repeat it for more addresses (default: [::]:6969)',
      gather,
    )
    .option(
      '--torrents <dir>',
      'serve the torrents whose .torrent files lie in this folder, which is watched',
    )
    .option('--revisions', "serve the torrents of the cluster's ContentRevisions")
    .option('--open', 'serve any info hash')
    .option('--udp', 'answer over UDP too (BEP 15), on the same addresses and ports')
    .option(
      '--secret-file <file>',
      "only those may announce who show a torrent's key, made of the secret in this file, as /announce/KEY",
    )
    .option(
      '--agents <namespace/name>',
      'in a cluster: those may announce who show a token of this service account, and, with --secret-file, who show a key',
    )
    .option(
      '--name <name>',
      'the name of this tracker among several (with --replica and --replica-secret-file)',
    )
    .option(
      '--replica <name=url>',
      'a tracker of the same torrents: each torrent is owned by one of them, which the others ask; repeat it',
      gather,
    )
    .option(
      '--replica-services',
      'in a cluster: the replicas are those that have a Service, as they come and go',
    )
    .option('--replica-secret-file <file>', 'the secret that the replicas share')
    .option(
      '--zone-share <share>',
      'how much of an answer is of the zone of whoever asks, as long as there are others; 66% at most and by default',
      parseShare,
    )
    .option('--metrics <host:port>', 'serve /metrics there and not on the main port')
    .option('--json', 'print events as JSON lines on stdout, and logs on stderr')
    .action(async (options: import('./commands/tracker.ts').TrackerOptions) => {
      const { tracker } = await import('./commands/tracker.ts');
      await runProgram('tracker', tracker(options), { logTo: options.json ? 'stderr' : 'stdout' });
    });
}

function addSimulate(enxame: Command): void {
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
    .action(async (options: import('./commands/simulate.ts').SimulateOptions) => {
      const { simulation } = await import('./commands/simulate.ts');
      await runProgram('simulate', simulation(options), FOR_PEOPLE);
    });
}

/** The BitTorrent client. */
function addClientCommands(enxame: Command): void {
  enxame
    .command('create')
    .description('makes a .torrent file of a file or a folder')
    .argument('<path>', 'the file or the folder')
    .option('-o, --output <file>', 'where to write it; NAME.torrent in the present folder by default')
    .option('-t, --tracker <url>', 'announce URL of a tracker; may be given several times', gather)
    .option(
      '--piece-length <bytes>',
      'a power of two from 16Ki to 64Mi; chosen by size by default',
      parseBytes,
    )
    .option('--private', 'peers come from the trackers alone (BEP 27)')
    .option(
      '--web-seed <url>',
      'where the content lies on a web server (BEP 19); may be given several times',
      gather,
    )
    .option('--name <name>', 'another name than that of the file or folder')
    .option('--comment <text>', 'a comment, for people')
    .option(
      '--source <text>',
      'tells swarms of equal content apart: it changes the info hash and nothing else',
    )
    .option('--force', 'replace the .torrent file if it exists')
    .option('--json', 'print the outcome as a JSON line')
    .addHelpText(
      'after',
      examples([
        'enxame create model/ -t http://tracker.example:6969/announce',
        'enxame create disk.img --piece-length 1Mi -o disk.torrent',
      ]),
    )
    .action(async (path: string, options: import('./commands/create.ts').CreateOptions) => {
      const { create } = await import('./commands/create.ts');
      await runProgram('create', create(path, options), FOR_PEOPLE);
    });

  enxame
    .command('inspect')
    .description('says what a torrent holds')
    .argument('<torrent>', 'a .torrent file, the URL of one, or a magnet link')
    .option('--json', 'print it as one JSON object')
    .addHelpText(
      'after',
      examples(['enxame inspect model.torrent', 'enxame inspect --json http://host/model.torrent']),
    )
    .action(async (torrent: string, options: import('./commands/inspect.ts').InspectOptions) => {
      const { inspect } = await import('./commands/inspect.ts');
      await runProgram('inspect', inspect(torrent, options), FOR_PEOPLE);
    });

  withSwarmOptions(
    enxame
      .command('download')
      .description("gets a torrent's content, verified; the same command goes on where it was stopped")
      .argument('<torrent>', 'a .torrent file, the URL of one, or a magnet link')
      .argument('<dir>', 'the folder that the content is put in; made if need be'),
  )
    .option('--down <bytes>', 'receive at most so many bytes per second; 0 is no limit', parseRate)
    .option('--seed', 'go on seeding when it is complete, until stopped')
    .option('--force', 'replace files of the same names that hold something else')
    .addHelpText(
      'after',
      examples([
        'enxame download model.torrent .',
        "enxame download 'magnet:?xt=urn:btih:…' /data --down 20MiB",
        'enxame download model.torrent /data --peer 192.0.2.7:6881 --seed',
      ]),
    )
    .action(
      async (torrent: string, folder: string, options: import('./commands/download.ts').DownloadOptions) => {
        const { download } = await import('./commands/download.ts');
        await runProgram('download', download(torrent, folder, options), FOR_PEOPLE);
      },
    );

  withSwarmOptions(
    enxame
      .command('seed')
      .description('serves content that is there, until stopped')
      .argument('<torrent>', 'a .torrent file, or the URL of one')
      .argument('<path>', 'the content itself: the file or the folder that became the torrent'),
  )
    .addHelpText(
      'after',
      examples([
        'enxame seed model.torrent model/',
        'enxame seed disk.torrent disk.img --up 10MiB --listen 0.0.0.0:6881',
      ]),
    )
    .action(async (torrent: string, path: string, options: import('./client/swarm.ts').SwarmOptions) => {
      const { seed } = await import('./commands/seed.ts');
      await runProgram('seed', seed(torrent, path, options), FOR_PEOPLE);
    });
}

function withSwarmOptions(command: Command): Command {
  return command
    .option(
      '--listen <host:port>',
      'where to listen, and to announce and dial from if it is one address; [::]:6881, or any free port if that is taken, by default',
    )
    .option('--peer <host:port>', 'a peer to connect to; may be given several times', gather)
    .option(
      '-t, --tracker <url>',
      "a tracker to ask before the torrent's own; may be given several times",
      gather,
    )
    .option(
      '--memory <bytes>',
      'keep at most so many bytes in memory of what is on its way; 256Mi by default, at least 64Mi',
      parseBytes,
    )
    .option('--up <bytes>', 'send at most so many bytes per second; 0 is no limit', parseRate)
    .addOption(
      new Option('--policy <policy>', 'how to treat other Enxame peers; others always get the classic way')
        .choices(['cluster', 'classic'])
        .default('cluster'),
    )
    .option('--json', 'print events as JSON lines on stdout');
}

/** Examples below a command's help. */
function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`;
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
