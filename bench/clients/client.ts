/** A BitTorrent client that is measured. All of them find each other through one tracker. */
import type { MeasuredProcess } from '../measured-process.ts';

/** What a client is to do. */
export interface Task {
  readonly role: 'seed' | 'leech';
  /** A .torrent file of one file; it names the tracker. */
  readonly torrent: string;
  /** The folder that holds the file, or is to hold it. */
  readonly folder: string;
  /** Name of the file. */
  readonly name: string;
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  /** A network namespace to run in. */
  readonly namespace: string | undefined;
}

/** A client at work. */
export interface RunningClient {
  readonly process: MeasuredProcess;
  /** Resolves when the torrent was added: a seed then serves. */
  readonly added: Promise<void>;
  /** Resolves when every byte is verified. */
  complete(): Promise<void>;
  /** Payload sent, in bytes; undefined where the client does not say. */
  sentBytes(): Promise<number | undefined>;
}

/** A kind of client. */
export interface Client {
  readonly name: string;
  start(task: Task): RunningClient;
}
