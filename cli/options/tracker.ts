/** The options of `enxame tracker`. */
import type { Command } from 'commander';
import { runProgram } from '../run.ts';
import { gather } from './declarations.ts';
import { parseShare } from './numbers.ts';

/** Adds the tracker; its code is loaded when it is called. */
export function addTracker(enxame: Command): void {
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
    .action(async (options: import('../commands/tracker.ts').TrackerOptions) => {
      const { tracker } = await import('../commands/tracker.ts');
      await runProgram('tracker', tracker(options), { logTo: options.json ? 'stderr' : 'stdout' });
    });
}
