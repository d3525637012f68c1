/**
 * `enxame tracker`: starts a tracker and hands it its list of torrents: a folder's, the cluster's
 * ContentRevisions, or everything.
 */
import { readFile, stat } from 'node:fs/promises';
import { MOST_LOCAL_SHARE } from '../../tracker/registry.ts';
import type { ReplicaSettings } from '../../tracker/replicas.ts';
import { KeyRights, MIN_SECRET_BYTES, OPEN_RIGHTS, type Rights } from '../../tracker/rights.ts';
import { TorrentDirectory } from '../../tracker/torrent-directory.ts';
import { OPEN_LIST, type TorrentList, unionOf } from '../../tracker/torrents.ts';
import { type RunningTracker, startTracker, type TrackerSettings } from '../../tracker/tracker.ts';
import { inOneLine, UsageError } from '../errors.ts';
import { type ListenAddress, parseListenAddress } from '../options/listen-address.ts';
import type { Program, ProgramContext } from '../run.ts';

/** In a cluster, agents learn of a revision and its tracker a moment apart; they wait that long for each other. */
const ARRIVAL_WAIT_MILLISECONDS = 2_000;
const HOLDER_WAIT_MILLISECONDS = 5_000;

/** Where a tracker listens unless it is told otherwise. */
const DEFAULT_LISTEN = ['[::]:6969'];

/** The options of the command line. */
export interface TrackerOptions {
  readonly listen?: readonly string[];
  readonly torrents?: string;
  readonly revisions?: boolean;
  readonly open?: boolean;
  readonly udp?: boolean;
  readonly secretFile?: string;
  readonly agents?: string;
  readonly name?: string;
  readonly replica?: readonly string[];
  readonly replicaServices?: boolean;
  readonly replicaSecretFile?: string;
  readonly zoneShare?: number;
  readonly metrics?: string;
  readonly json?: boolean;
}

/** A list of torrents and how to end what keeps it up to date. */
interface OpenedList {
  readonly torrents: TorrentList;
  close(): Promise<void>;
}

async function openFolder(folder: string, { logger }: ProgramContext): Promise<OpenedList> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw new UsageError(`--torrents is '${folder}', which is no folder; name one`);
  const torrents = await TorrentDirectory.open(folder, logger);
  return { torrents, close: () => torrents.close() };
}

async function openLists(options: TrackerOptions, context: ProgramContext): Promise<OpenedList> {
  const opened: OpenedList[] = [];
  if (options.torrents !== undefined) opened.push(await openFolder(options.torrents, context));
  if (options.revisions) {
    const { openRevisions } = await import('../cluster/revisions.ts');
    opened.push(await openRevisions(context));
  }
  if (options.open) opened.push({ torrents: OPEN_LIST, close: async () => {} });
  if (opened.length === 0)
    throw new UsageError(
      'nothing to serve; use --torrents DIR for a folder of .torrent files, --open for any info hash, or --revisions in a cluster',
    );
  return {
    torrents: unionOf(opened.map(({ torrents }) => torrents)),
    close: async () => {
      for (const { close } of opened) await close();
    },
  };
}

async function readSecret(option: string, file: string): Promise<Buffer> {
  const secret = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new UsageError(`${option} cannot be read: ${inOneLine(cause)}`);
  });
  const bytes = Buffer.from(secret.trim());
  if (bytes.length < MIN_SECRET_BYTES)
    throw new UsageError(`the secret in ${file} must be of at least ${MIN_SECRET_BYTES} bytes`);
  return bytes;
}

/** Who may announce, as the options say. */
async function readRights({ secretFile }: TrackerOptions): Promise<Rights | undefined> {
  return secretFile === undefined ? undefined : new KeyRights(await readSecret('--secret-file', secretFile));
}

/** Who knows agents by their tokens, as the options say. */
async function readJudge(
  { agents }: TrackerOptions,
  context: ProgramContext,
): Promise<TrackerSettings['judgeToken']> {
  if (agents === undefined) return undefined;
  if (!/^[-a-z0-9]+\/[-.a-z0-9]+$/.test(agents))
    throw new UsageError(
      `--agents is '${agents}'; it must be NAMESPACE/NAME of a service account, for example enxame-system/enxame-agent`,
    );
  const { agentJudge } = await import('../cluster/agent-judge.ts');
  return agentJudge(agents, context);
}

/** The replicas, as the options say. */
async function readReplicas(
  options: TrackerOptions,
  context: ProgramContext,
): Promise<ReplicaSettings | undefined> {
  const { name, replica = [], replicaServices, replicaSecretFile } = options;
  if (replica.length === 0 && !replicaServices) return undefined;
  if (name === undefined || replicaSecretFile === undefined)
    throw new UsageError('--replica and --replica-services need --name and --replica-secret-file too');
  const urls = new Map<string, string>();
  for (const text of replica) {
    const at = text.indexOf('=');
    const url = text.slice(at + 1);
    if (at < 1 || !/^https?:\/\//.test(url) || !URL.canParse(url))
      throw new UsageError(`--replica is '${text}'; it must be NAME=URL, for example b=http://10.0.0.2:6969`);
    urls.set(text.slice(0, at), new URL(url).origin);
  }
  const secret = await readSecret('--replica-secret-file', replicaSecretFile);
  if (!replicaServices) return { name, urls, secret };
  const { followReplicaServices } = await import('../cluster/replica-services.ts');
  return { name, urls, secret, follow: followReplicaServices(context) };
}

/** At least a third of an answer comes from elsewhere, so that no zone becomes a swarm of its own. */
function checkedZoneShare(share: number | undefined): number | undefined {
  if (share === undefined || share <= MOST_LOCAL_SHARE) return share;
  throw new UsageError(
    `--zone-share is ${share}; at least a third of the peers must be of other zones, so use 0.66 or less`,
  );
}

async function start(
  options: TrackerOptions,
  listen: readonly ListenAddress[],
  metrics: ListenAddress | undefined,
  torrents: TorrentList,
  more: Pick<TrackerSettings, 'rights' | 'judgeToken' | 'replicas' | 'localShare'>,
  { logger }: ProgramContext,
): Promise<RunningTracker> {
  try {
    return await startTracker({
      torrents,
      ...more,
      ...(options.udp && { udp: true }),
      listen,
      metrics,
      logger,
      ...(options.revisions && {
        arrivalWaitMilliseconds: ARRIVAL_WAIT_MILLISECONDS,
        holderWaitMilliseconds: HOLDER_WAIT_MILLISECONDS,
      }),
    });
  } catch (error) {
    throw new Error(
      `cannot listen on ${(options.listen ?? DEFAULT_LISTEN).join(' and ')}: ${inOneLine(error)}; free it or use --listen HOST:PORT`,
      {
        cause: error,
      },
    );
  }
}

/** The program of `enxame tracker`; ends when its signal aborts. */
export function tracker(options: TrackerOptions): Program {
  return async (context) => {
    const { logger, signal } = context;
    const listen = (options.listen ?? DEFAULT_LISTEN).map((text) => parseListenAddress('--listen', text));
    const metrics =
      options.metrics === undefined ? undefined : parseListenAddress('--metrics', options.metrics);
    const more = {
      rights: (await readRights(options)) ?? (options.open ? OPEN_RIGHTS : undefined),
      judgeToken: await readJudge(options, context),
      replicas: await readReplicas(options, context),
      localShare: checkedZoneShare(options.zoneShare),
    };
    const lists = await openLists(options, context);
    try {
      const running = await start(options, listen, metrics, lists.torrents, more, context);
      for (const [number, { host }] of listen.entries()) {
        const where = { port: running.ports[number], metricsPort: running.metricsPort };
        logger.info({ host, ...where }, 'listening');
        if (options.json) printEvent({ event: 'listening', ...where });
      }
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      await running.close();
      if (options.json) printEvent({ event: 'stopped' });
      return 0;
    } finally {
      await lists.close();
    }
  };
}

function printEvent(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
