// The tracker as it is shipped, as a process of its own on loopback.
import { enxame } from '../cli/enxame-process.ts';

/** A tracker that listens. */
export interface TrackerProcess {
  readonly port: number;
  /** Ends it in good order. @throws Error if it ended otherwise */
  close(): Promise<void>;
}

/** Starts `enxame tracker` on a free port, with more options; resolves when it listens. */
export async function startTrackerProcess(...options: readonly string[]): Promise<TrackerProcess> {
  const run = enxame(['tracker', '--json', '--listen', '127.0.0.1:0', ...options]);
  const first = await run.nextLine();
  if (first === undefined) throw new Error(`the tracker did not start: ${(await run.ended).stderr}`);
  const { port } = JSON.parse(first) as { port: number };
  return {
    port,
    async close() {
      run.child.kill('SIGTERM');
      const { code, stderr } = await run.ended;
      if (code !== 0) throw new Error(`the tracker ended with ${code}: ${stderr}`);
    },
  };
}
