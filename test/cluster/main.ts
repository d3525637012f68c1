/** `npm run cluster`, `npm run kubectl` and `npm run helm`: the test cluster from the command line. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { Cluster } from './cluster.ts';
import { ClusterError } from './errors.ts';

const DEFAULT_NAME = 'enxame';
const USAGE_ERROR = 2;

const print = (line: string) => process.stdout.write(`${line}\n`);

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return value;
}

const named = (command: Command) =>
  command.option(
    '--name <name>',
    'of the cluster; several live side by side',
    process.env.ENXAME_CLUSTER ?? DEFAULT_NAME,
  );

/** Gives the terminal to kubectl or helm, and ends as it ends. */
async function hand(program: string, args: readonly string[], name: string): Promise<void> {
  const cluster = new Cluster(name);
  await cluster.nodeNames(); // Or there is no such cluster.
  const child = spawn(join(cluster.binaries, program), args, { stdio: 'inherit', env: cluster.environment });
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function addLifeCycle(program: Command): void {
  named(program.command('up'))
    .description('bring a cluster up, or find that it is; returns when every node is Ready')
    .option('--nodes <count>', 'how many nodes', count, 3)
    .action(async ({ name, nodes }: { name: string; nodes: number }) => {
      const cluster = new Cluster(name);
      await cluster.up({ nodes });
      print(`export KUBECONFIG=${cluster.kubeconfigPath}`);
    });
  named(program.command('down'))
    .description('end a cluster and remove everything of it, also what an interrupted run left')
    .option('--all', 'every cluster of this machine')
    .action(async ({ name, all }: { name: string; all?: boolean }) => {
      for (const each of all === true ? await Cluster.names() : [name]) {
        await new Cluster(each).down();
        print(`Cluster ${each} is down`);
      }
    });
  named(program.command('status'))
    .description('how a cluster is')
    .option('--json', 'as one line of JSON')
    .action(async ({ name, json }: { name: string; json?: boolean }) => {
      const status = await new Cluster(name).status();
      if (json === true) {
        print(JSON.stringify(status));
        return;
      }
      print(`Cluster ${name} is ${status.state}`);
      for (const node of status.nodes)
        print(
          `  ${node.name}  ${node.running ? 'runs' : 'does not run'}, ${node.ready ? 'Ready' : 'not Ready'}`,
        );
    });
}

function addAccess(program: Command): void {
  named(program.command('kubeconfig'))
    .description('print the path of the kubeconfig; it works with any kubectl and helm of this machine')
    .action(async ({ name }: { name: string }) => {
      const cluster = new Cluster(name);
      await cluster.nodeNames();
      print(cluster.kubeconfigPath);
    });
  named(program.command('load'))
    .description('put an image on every node')
    .argument('<archive>', 'an OCI or docker archive, such as build/enxame-image.tar')
    .action(async (archive: string, { name }: { name: string }) => {
      if (!existsSync(archive))
        throw new ClusterError(
          'InvalidName',
          `there is no file ${archive}; npm run image makes build/enxame-image.tar`,
        );
      await new Cluster(name).load(archive);
    });
  for (const tool of ['kubectl', 'helm'])
    program
      .command(tool)
      .description(`run ${tool} on the cluster; ENXAME_CLUSTER names one other than ${DEFAULT_NAME}`)
      .argument('[arguments...]')
      .allowUnknownOption()
      .helpOption(false)
      .passThroughOptions()
      .action((args: string[]) => hand(tool, args, process.env.ENXAME_CLUSTER ?? DEFAULT_NAME));
}

function addFaults(program: Command): void {
  const fault = program.command('fault').description('make something go wrong, or right again');
  const onNode = (verb: string, text: string, act: (cluster: Cluster, node: string) => Promise<void>) =>
    named(fault.command(verb))
      .description(text)
      .argument('<node>')
      .action((node: string, { name }: { name: string }) => act(new Cluster(name), node));
  onNode('cut', "pull a node's network cable", (cluster, node) => cluster.cutNode(node));
  onNode('rejoin', 'plug it in again', (cluster, node) => cluster.rejoinNode(node));
  onNode('crash', 'kill everything on a node at once; its disk stays', (cluster, node) =>
    cluster.crashNode(node),
  );
  onNode('revive', 'start a crashed node again', (cluster, node) => cluster.reviveNode(node));
  onNode('unshape', 'take a rate away', (cluster, node) => cluster.unshapeNode(node));
  onNode('unlimit-disk', 'take a small disk away', (cluster, node) => cluster.unlimitDisk(node));
  const withValue = (
    verb: string,
    value: string,
    text: string,
    act: (c: Cluster, n: string, v: string) => Promise<void>,
  ) =>
    named(fault.command(verb))
      .description(text)
      .argument('<node>')
      .argument(value)
      .action((node: string, given: string, { name }: { name: string }) =>
        act(new Cluster(name), node, given),
      );
  withValue('shape', '<rate>', "give a node's link a rate, both ways: 100mbit", (cluster, node, rate) =>
    cluster.shapeNode(node, rate),
  );
  withValue(
    'limit-disk',
    '<size>',
    'give its content root an empty disk of a size: 64m',
    (cluster, node, size) => cluster.limitDisk(node, size),
  );
  named(fault.command('api-stop'))
    .description('kill the API server')
    .action(({ name }: { name: string }) => new Cluster(name).stopApiServer());
  named(fault.command('api-start'))
    .description('start the API server again')
    .action(({ name }: { name: string }) => new Cluster(name).startApiServer());
}

const program = new Command('npm run cluster --')
  .description('A real Kubernetes with several nodes on this machine, without a container engine.')
  .enablePositionalOptions()
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
