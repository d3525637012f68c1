/** The options of the BitTorrent client: create, inspect, download, seed. */
import { type Command, Option } from 'commander';
import { runProgram } from '../run.ts';
import { examples, FOR_PEOPLE, gather } from './declarations.ts';
import { parseBytes, parseRate } from './numbers.ts';

/** Adds the BitTorrent client; a command's code is loaded when it is called. */
export function addClientCommands(enxame: Command): void {
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
    .action(async (path: string, options: import('../commands/create.ts').CreateOptions) => {
      const { create } = await import('../commands/create.ts');
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
    .action(async (torrent: string, options: import('../commands/inspect.ts').InspectOptions) => {
      const { inspect } = await import('../commands/inspect.ts');
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
      async (torrent: string, folder: string, options: import('../commands/download.ts').DownloadOptions) => {
        const { download } = await import('../commands/download.ts');
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
    .action(async (torrent: string, path: string, options: import('../client/swarm.ts').SwarmOptions) => {
      const { seed } = await import('../commands/seed.ts');
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
