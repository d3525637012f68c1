/** `npm run cluster`, `npm run kubectl` and `npm run helm`: the test cluster from the command line. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { Cluster } from './cluster.ts';
import { ClusterError } from './errors.ts';
import { type ClusterCommands, KindCluster } from './kind.ts';
import { MAX_NODES } from './layout.ts';

const DEFAULT_NAME = process.env.ENXAME_CLUSTER ?? 'enxame';
const BY_KIND = process.env.ENXAME_KIND === '1';
const USAGE_ERROR = 2;

/** What tells one cluster from others, on every command. */
interface Which {
  readonly name: string;
  readonly kind?: boolean;
}

const print = (line: string) => process.stdout.write(`${line}\n`);

const open = ({ name, kind = BY_KIND }: Which): ClusterCommands =>
  kind ? new KindCluster(name) : new Cluster(name);

function nodeCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > MAX_NODES)
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_NODES}.`);
  return value;
}

/** A value that tc or mount takes: a number with one of these units. */
const measure = (units: string, example: string) => (text: string) => {
  if (!new RegExp(`^\\d+(${units})$`, 'i').test(text))
    throw new InvalidArgumentError(`It must be like ${example}.`);
  return text.toLowerCase();
};
const rate = measure('kbit|mbit|gbit', '100mbit');
const delay = measure('ms', '20ms');
const size = measure('|k|m|g', '64m');

const named = (command: Command) =>
  command
    .option('--name <name>', 'of the cluster; several live side by side', DEFAULT_NAME)
    .option('--kind', 'a cluster that kind makes, with a Docker engine (untried)');

/** Gives the terminal to kubectl or helm, and ends as it ends. */
async function hand(program: string, args: readonly string[]): Promise<void> {
  const cluster = open({ name: DEFAULT_NAME });
  await cluster.nodeNames(); // Or there is no such cluster.
  const child = spawn(join(cluster.binaries, program), args, { stdio: 'inherit', env: cluster.environment });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      // The terminal signals the whole foreground group by itself.
      if (!process.stdin.isTTY || signal !== 'SIGINT') child.kill(signal);
    });
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']));
  });
}

async function printStatus(which: Which, asJson: boolean): Promise<boolean> {
  const status = await open(which).status();
  if (asJson) print(JSON.stringify(status));
  else {
    print(`Cluster ${which.name} is ${status.state}`);
    for (const program of status.stopped) print(`  ${program} does not run`);
    for (const { name, running, ready } of status.nodes)
      print(`  ${name}  ${running ? 'runs' : 'does not run'}, ${ready ? 'Ready' : 'not Ready'}`);
  }
  return status.state === 'up';
}

function addLifeCycle(program: Command): void {
  named(program.command('up'))
    .description('bring a cluster up, or find that it is; returns when every node is Ready')
    .option('--nodes <count>', 'how many nodes, beside the control plane', nodeCount, 3)
    .action(async ({ nodes, ...which }: Which & { nodes: number }) => {
      const cluster = open(which);
      await cluster.up({ nodes });
      print(`export KUBECONFIG=${cluster.kubeconfigPath}`);
    });
  named(program.command('down'))
    .description('end a cluster and remove everything of it, also what an interrupted run left')
    .option('--all', 'every cluster of this machine, but for those of kind')
    .action(async ({ all, ...which }: Which & { all?: boolean }) => {
      const each = all === true ? (await Cluster.names()).map((name) => ({ name, kind: false })) : [which];
      for (const one of each) {
        await open(one).down();
        print(`Cluster ${one.name} is down`);
      }
    });
  named(program.command('status'))
    .description('how a cluster is; exits with 0 if it is up, and 1 otherwise')
    .option('--all', 'every cluster of this machine, but for those of kind')
    .option('--json', 'as one line of JSON each')
    .action(async ({ all, json, ...which }: Which & { all?: boolean; json?: boolean }) => {
      const each = all === true ? (await Cluster.names()).map((name) => ({ name, kind: false })) : [which];
      for (const one of each) if (!(await printStatus(one, json === true))) process.exitCode = 1;
    });
}

function addAccess(program: Command): void {
  named(program.command('kubeconfig'))
    .description('print the path of the kubeconfig; it works with any kubectl and helm of this machine')
    .action(async (which: Which) => {
      const cluster = open(which);
      await cluster.nodeNames();
      print(cluster.kubeconfigPath);
    });
  named(program.command('load'))
    .description('put an image on every node')
    .argument('<archive>', 'an OCI or docker archive, such as build/enxame-image.tar')
    .action(async (archive: string, which: Which) => {
      const advice = 'npm run image makes build/enxame-image.tar';
      if (!existsSync(archive))
        throw new ClusterError('InvalidName', `there is no file ${archive}; ${advice}`);
      await open(which).load(archive);
    });
  for (const tool of ['kubectl', 'helm'])
    program
      .command(tool)
      .description(`run ${tool} on the cluster ${DEFAULT_NAME}; ENXAME_CLUSTER names another one`)
      .argument('[arguments...]')
      .allowUnknownOption()
      .helpOption(false)
      .passThroughOptions()
      .action((args: string[]) => hand(tool, args));
}

type Fault = (cluster: ClusterCommands, node: string) => Promise<void>;

function addFaults(program: Command): void {
  const fault = program.command('fault').description('make something go wrong, or right again');
  const onNode = (verb: string, text: string, act: Fault) =>
    named(fault.command(verb))
      .description(text)
      .argument('<node>', 'such as node-1')
      .action((node: string, which: Which) => act(open(which), node));
  onNode('cut', "pull a node's network cable", (cluster, node) => cluster.cutNode(node));
  onNode('rejoin', 'plug it in again', (cluster, node) => cluster.rejoinNode(node));
  onNode('crash', 'kill everything on a node at once; its disk stays', (cluster, node) =>
    cluster.crashNode(node),
  );
  onNode('revive', 'start a crashed node again', (cluster, node) => cluster.reviveNode(node));
  named(fault.command('shape'))
    .description("give a node's link a rate, both ways, and a delay each way")
    .argument('<node>', 'such as node-1')
    .argument('<rate>', 'such as 100mbit', rate)
    .argument('[delay]', 'such as 20ms; the kernel must have netem', delay)
    .action((node: string, to: string, by: string | undefined, which: Which) =>
      open(which).shapeNode(node, to, by),
    );
  onNode('unshape', 'take rate and delay away', (cluster, node) => cluster.unshapeNode(node));
  named(fault.command('limit-disk'))
    .description("give a node's content root an empty disk of a size; containers see it when they start anew")
    .argument('<node>', 'such as node-1')
    .argument('<size>', 'such as 64m', size)
    .action((node: string, to: string, which: Which) => open(which).limitDisk(node, to));
  onNode('unlimit-disk', 'take the disk away, and what is on it', (cluster, node) =>
    cluster.unlimitDisk(node),
  );
  named(fault.command('api-stop'))
    .description('kill the API server')
    .action((which: Which) => open(which).stopApiServer());
  named(fault.command('api-start'))
    .description('start the API server again; returns when it answers')
    .action((which: Which) => open(which).startApiServer());
}

const program = new Command('npm run cluster --')
  .description('A real Kubernetes with several nodes on this machine, without a container engine.')
  .enablePositionalOptions()
  .addHelpText('after', '\nEach command has its own --help. More is in docs/cluster.md.')
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : USAGE_ERROR);
  });
addLifeCycle(program);
addAccess(program);
addFaults(program);

try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.stderr.write(`cluster: ${(error as Error).message}\n`);
  process.exitCode = error instanceof ClusterError && error.code === 'InvalidName' ? USAGE_ERROR : 1;
}
