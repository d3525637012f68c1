/**
 * What download and seed tell: a line that changes for people, or one JSON object a line for programs.
 * Invariant: with --json stdout carries nothing but events; warnings go to stderr in both forms.
 */
import { formatBytes, formatSeconds } from '../../api/quantity.ts';
import type { TorrentProgress } from '../../torrent/session/index.ts';
import { progressLine } from './progress-line.ts';
import { Screen } from './screen.ts';

/** Where a command's news go. */
export interface Report {
  listening(host: string, port: number): void;
  /** The content on the disk is being compared with the torrent. */
  checking(doneBytes: number, totalBytes: number): void;
  /** A magnet link's metainfo is being looked for. */
  searching(peers: number): void;
  progress(progress: TorrentProgress): void;
  /** Every byte of the content at that path is verified. `seconds` is the time since the torrent was added. */
  complete(seconds: number, bytes: number, content: string): void;
  /** A line for people alone. */
  note(text: string): void;
  warn(text: string): void;
  /** The command was told to end: what is kept, and how to go on. */
  stopped(text: string): void;
  /** Takes away what does not stay. */
  end(): void;
}

/** The report of a command: JSON lines, or what the terminal can show. */
export function reportOf(command: string, json: boolean | undefined): Report {
  return json ? jsonReport(command) : personalReport(command);
}

function jsonReport(command: string): Report {
  const print = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);
  return {
    listening: (host, port) => print({ event: 'listening', host, port }),
    checking() {},
    searching: (peers) => print({ event: 'progress', bytes: 0, peers }),
    progress: (progress) =>
      print({
        event: 'progress',
        bytes: progress.totalBytes - progress.bytesLeft,
        totalBytes: progress.totalBytes,
        pieces: progress.piecesHave,
        totalPieces: progress.pieces,
        downloadedBytes: progress.downloadedBytes,
        uploadedBytes: progress.uploadedBytes,
        wastedBytes: progress.wastedBytes,
        downloadBytesPerSecond: Math.round(progress.downloadBytesPerSecond),
        uploadBytesPerSecond: Math.round(progress.uploadBytesPerSecond),
        peers: progress.peers,
        seeds: progress.seeds,
      }),
    complete: (seconds, bytes) => print({ event: 'complete', seconds: rounded(seconds), bytes }),
    note() {},
    warn: (text) => process.stderr.write(`enxame ${command}: ${text}\n`),
    stopped: (text) => process.stderr.write(`enxame ${command}: ${text}\n`),
    end() {},
  };
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

function personalReport(command: string): Report {
  const screen = new Screen(process.stdout);
  return {
    listening: (host, port) => screen.line(`listening on ${host.includes(':') ? `[${host}]` : host}:${port}`),
    checking: (doneBytes, totalBytes) =>
      screen.status(progressLine({ doing: 'checking', doneBytes, totalBytes }, screen.columns)),
    searching: (peers) =>
      screen.status(`looking for the torrent's description, ${counted(peers, 'peer')} connected`),
    progress: (progress) => screen.status(line(progress, screen.columns)),
    complete(seconds, bytes, content) {
      const rate = seconds > 0 ? ` (${formatBytes(Math.round(bytes / seconds))}/s)` : '';
      screen.line(`complete: ${formatBytes(bytes)} verified in ${formatSeconds(seconds)}${rate}, ${content}`);
    },
    note: (text) => screen.line(text),
    warn: (text) => screen.line(`enxame ${command}: ${text}`, process.stderr),
    stopped: (text) => screen.line(text),
    end: () => screen.clear(),
  };
}

function line(progress: TorrentProgress, columns: number | undefined): string {
  const { totalBytes, bytesLeft, peers, seeds, uploadBytesPerSecond, uploadedBytes } = progress;
  const isComplete = bytesLeft === 0;
  const up = `up ${formatBytes(Math.round(uploadBytesPerSecond))}/s`;
  const who = counted(peers, 'peer');
  if (isComplete)
    return `seeding  ${up}  ${who}  ${formatBytes(uploadedBytes)} sent`.slice(0, columns && columns - 1);
  return progressLine(
    {
      doing: 'downloading',
      doneBytes: totalBytes - bytesLeft,
      totalBytes,
      bytesPerSecond: progress.downloadBytesPerSecond,
      facts: [who, up, counted(seeds, 'seed')],
    },
    columns,
  );
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
