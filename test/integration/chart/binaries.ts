// Where Helm is, for tests of the chart.
import { join } from 'node:path';

/** Path of the helm binary. */
export function helmPath(): string {
  const bin = process.env.ENXAME_BIN_DIR;
  if (bin === undefined) throw new Error('ENXAME_BIN_DIR must name a folder with helm');
  return join(bin, 'helm');
}
