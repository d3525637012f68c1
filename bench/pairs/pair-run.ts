/** One seed and one leecher of any two clients, of which one dials the other through a forwarder. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, RunningClient } from '../clients/client.ts';
import { createTorrent, memoryFolder, writeContent } from '../content.ts';
import { within } from '../swarm-run.ts';
import { type Forwarder, forward } from './forwarder.ts';
import { type Matchmaker, startMatchmaker } from './matchmaker.ts';

const HOST = '127.0.0.1';
const FIRST_PORT = 18_000;
const PIECE_LENGTH = 256 * 1024;
/** A client that listens has yet to read its torrent, and may have to hash its content. */
const SETTLE_MILLISECONDS = 1000;

/** Content, its torrent and who tells of peers. */
export interface PairStage {
  readonly base: string;
  readonly folder: string;
  readonly name: string;
  readonly torrent: string;
  readonly sizeBytes: number;
  readonly matchmaker: Matchmaker;
  close(): Promise<void>;
}

/** Makes random content and its torrent. */
export async function setPairStage(sizeBytes: number): Promise<PairStage> {
  const base = memoryFolder();
  const folder = join(base, 'content');
  const name = 'content.bin';
  const torrent = join(base, 'content.torrent');
  mkdirSync(folder);
  writeContent(join(folder, name), sizeBytes);
  const matchmaker = await startMatchmaker();
  const close = async () => {
    await matchmaker.close();
    rmSync(base, { recursive: true, force: true });
  };
  try {
    await createTorrent(torrent, join(folder, name), matchmaker.announceUrl, PIECE_LENGTH);
  } catch (error) {
    await close();
    throw error;
  }
  return { base, folder, name, torrent, sizeBytes, matchmaker, close };
}

/** Who meets whom. */
export interface Pair {
  /** Dials. */
  readonly contender: Client;
  /** Is dialled, and does this. */
  readonly partner: Client;
  readonly partnerRole: 'seed' | 'leech';
  /** Each way. */
  readonly delayMilliseconds?: number;
}

/** What one run came to. */
export interface PairRun {
  /** From both being there to the seed's first unchoke. */
  readonly waitSeconds: number;
  /** From then to the last byte verified. */
  readonly seconds: number;
}

let nextPort = FIRST_PORT;

/** Runs a pair to its end. Both processes are gone afterwards. */
export async function runPair(stage: PairStage, pair: Pair): Promise<PairRun> {
  const { contender, partner, partnerRole, delayMilliseconds = 0 } = pair;
  const { torrent, name, matchmaker } = stage;
  const running: RunningClient[] = [];
  const out = join(stage.base, 'out');
  mkdirSync(out);
  const [partnerPort, contenderPort] = [nextPort++, nextPort++];
  const start = (client: Client, role: 'seed' | 'leech', port: number) => {
    const folder = role === 'seed' ? stage.folder : out;
    const one = client.start({ role, torrent, folder, name, host: HOST, port, namespace: undefined });
    running.push(one);
    return one;
  };
  let forwarder: Forwarder | undefined;
  try {
    const seed = partnerRole === 'seed' ? 'target' : 'dialler';
    forwarder = await forward({ host: HOST, port: partnerPort, seed, delayMilliseconds });
    matchmaker.match(contenderPort, forwarder.port);
    const theirs = start(partner, partnerRole, partnerPort);
    await theirs.added;
    await sleep(SETTLE_MILLISECONDS);
    const ours = start(contender, partnerRole === 'seed' ? 'leech' : 'seed', contenderPort);
    await ours.added;
    const begun = performance.now();
    const leecher = partnerRole === 'seed' ? ours : theirs;
    await within(`${contender.name} and ${partner.name}`, leecher.complete());
    const ended = performance.now();
    const unchoked = forwarder.unchokedAt;
    if (unchoked === undefined) throw new Error(`${partner.name} and ${contender.name}: no unchoke was seen`);
    return {
      waitSeconds: Math.max(0, unchoked - begun) / 1000,
      seconds: (ended - Math.max(begun, unchoked)) / 1000,
    };
  } finally {
    await Promise.all(running.map(({ process }) => process.stop()));
    await forwarder?.close();
    rmSync(out, { recursive: true, force: true });
  }
}
