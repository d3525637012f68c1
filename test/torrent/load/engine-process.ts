// A process with one session of the engine and nothing besides, so that what it needs can be measured. Invariant:
// it does what its parent asks, one answer for each question, and ends with its parent.
import { join } from 'node:path';
import type { Logger } from '../../../base/index.ts';
import { DEFAULT_MEMORY_BYTES, processMemory } from '../../../torrent/memory-ledger.ts';
import { parseInfo } from '../../../torrent/metainfo.ts';
import { Session } from '../../../torrent/session/session.ts';
import type { Torrent } from '../../../torrent/session/types.ts';
import { openStorage } from '../../../torrent/storage/open-storage.ts';
import type { PieceStorage } from '../../../torrent/storage/piece-storage.ts';
import { boundYoungGeneration } from '../../../torrent/young-generation.ts';
import type { Answer, EngineSettings, JoinQuestion, MemoryAnswer, Question } from './questions.ts';

const problems: string[] = [];
const quiet = () => undefined;
const logger: Logger = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (fields, message) => {
    if (problems.length < 100) problems.push(`${message} ${String((fields as { err?: unknown }).err ?? '')}`);
  },
};

const { memoryBytes = DEFAULT_MEMORY_BYTES, ...settings } = JSON.parse(
  process.argv[2] ?? '{}',
) as EngineSettings;
processMemory.setBudget(memoryBytes);
boundYoungGeneration();
const session = new Session({ logger, listen: { host: '127.0.0.1' }, ...settings });
const storages = new Map<string, PieceStorage>();

async function opened(question: JoinQuestion, metainfo: PieceStorage['metainfo']): Promise<PieceStorage> {
  const storage = await openStorage({
    metainfo,
    root: join(question.folder, 'content'),
    resumeFile: join(question.folder, 'resume'),
    alreadyVerified: question.isComplete,
  });
  storages.set(metainfo.infoHashHex, storage);
  return storage;
}

async function joinSwarm(question: JoinQuestion): Promise<Answer> {
  const { policy, peers } = question;
  const info = Buffer.from(question.info, 'base64');
  let torrent: Torrent;
  if (question.byMagnet) {
    const { infoHash } = parseInfo(info);
    const magnet = session.addMagnet({
      infoHash,
      policy,
      discovery: [],
      openStorage: (metainfo) => opened(question, metainfo),
    });
    magnet.addPeers(peers);
    torrent = await magnet.torrent;
  } else {
    const metainfo = parseInfo(info);
    torrent = session.add({ metainfo, storage: await opened(question, metainfo), policy, discovery: [] });
  }
  torrent.addPeers(peers);
  return {};
}

async function leave(infoHash: string): Promise<Answer> {
  await session.remove(infoHash);
  await storages.get(infoHash)?.close();
  storages.delete(infoHash);
  return {};
}

function memory(): MemoryAnswer {
  if (global.gc === undefined) throw new Error('start it with --expose-gc');
  global.gc();
  global.gc();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  let peers = 0;
  for (const torrent of session.torrents()) peers += torrent.progress().peers;
  return {
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
    residentBytes: rss,
    peers,
    torrents: session.torrents().length,
    problems,
  };
}

async function answer(question: Question): Promise<Answer> {
  switch (question.kind) {
    case 'join':
      return joinSwarm(question);
    case 'leave':
      return leave(question.infoHash);
    case 'progress':
      return { progress: session.get(question.infoHash)?.progress() };
    case 'memory':
      return { memory: memory() };
  }
}

process.on('message', ({ id, question }: { id: number; question: Question }) => {
  answer(question).then(
    (value) => process.send?.({ id, answer: value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
const { port } = await session.start();
process.send?.({ port });
