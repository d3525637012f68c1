// What a source is to the pump: a list of files, and the bytes of each from any offset on. A new kind of
// source is one file beside this one and one line in select.ts.

/** One file that a source has. */
export interface SourceFile {
  /** Where it lies within the content. */
  path: string;
  executable: boolean;
  /** Its size, or null where the source tells it only by ending. */
  sizeBytes: number | null;
  /** The SHA-256 that it must have, or null where none is declared. */
  sha256: string | null;
  /** What changes when the file changes (an ETag, a time), or null. Bytes read under another are not kept. */
  validator: string | null;
}

/** A place that content is read from. All errors are PublishErrors; `passing` ones are worth another attempt. */
export interface Source {
  /** Which files there are. Makes a single attempt. */
  resolve(signal: AbortSignal): Promise<SourceFile[]>;
  /**
   * The bytes of a file from `offset` on, which is below its size where that is known. Makes a single attempt.
   * Ends early without an error only if the source itself ended. Throws SourceChanged if the file is no longer
   * the one that was resolved.
   */
  open(file: SourceFile, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
