// How to reach the API server and as whom. Inside a Pod that is a few files and two variables, which are read
// here; a kubeconfig, with its plugins and its many ways to log in, is client-node's business. Its module is
// loaded only then: it costs tens of megabytes that an idle agent on every node of a cluster shall not hold.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { KubeError, NO_ANSWER } from './errors.ts';

/** TLS options as node:tls takes them. */
export interface TlsOptions {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** An API server, and the credentials for it. */
export interface ApiAccess {
  /** For messages: where the configuration came from. */
  readonly source: string;
  /** Base address, without a trailing slash, and how to trust it. Asked for once for each connection pool. */
  endpoint(): Promise<{ url: string; tls: TlsOptions }>;
  /** Headers that prove who asks; asked for before every request, because tokens are rotated. */
  credentials(): Promise<Record<string, string>>;
}

/** What stands in the environment of every container (Kubernetes' contract with Pods). */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** As client-go: a token on disk is read again after a minute. */
const TOKEN_CACHE_MILLISECONDS = 60_000;

class InClusterAccess implements ApiAccess {
  readonly source = 'the service account of this Pod';
  readonly #host: string;
  readonly #port: string;
  #token = '';
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(host: string, port: string) {
    this.#host = host;
    this.#port = port;
  }

  async endpoint() {
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    return { url: `https://${host}:${this.#port}`, tls: { ca: await readFile(`${SERVICE_ACCOUNT}/ca.crt`) } };
  }

  async credentials() {
    const now = performance.now();
    if (now - this.#readAt >= TOKEN_CACHE_MILLISECONDS) {
      this.#token = (await readFile(`${SERVICE_ACCOUNT}/token`, 'utf8')).trim();
      this.#readAt = now;
    }
    return { authorization: `Bearer ${this.#token}` };
  }
}

interface LoadedKubeConfig {
  url: string;
  /** Runs exec and OIDC plugins as needed. */
  options(): Promise<TlsOptions & { headers?: Record<string, unknown>; auth?: string }>;
}

class KubeconfigAccess implements ApiAccess {
  readonly source: string;
  readonly #file: string | undefined;
  readonly #context: string | undefined;
  #loaded: Promise<LoadedKubeConfig> | undefined;

  constructor(file: string | undefined, context: string | undefined) {
    this.#file = file;
    this.#context = context;
    this.source = file ?? 'the default kubeconfig';
  }

  async #load(): Promise<LoadedKubeConfig> {
    const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
    const config = new KubeConfig();
    if (this.#file === undefined) config.loadFromDefault();
    else config.loadFromFile(this.#file);
    if (this.#context !== undefined) config.setCurrentContext(this.#context);
    const cluster = config.getCurrentCluster();
    if (cluster === null)
      throw new KubeError(NO_ANSWER, 'InvalidConfiguration', `${this.source} names no current cluster`);
    return {
      url: cluster.server.replace(/\/+$/, ''),
      options: async () => {
        const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
        await config.applyToHTTPSOptions(options);
        return options as Awaited<ReturnType<LoadedKubeConfig['options']>>;
      },
    };
  }

  #config(): Promise<LoadedKubeConfig> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined; // A file that is mended is read again.
      if (error instanceof KubeError) throw error;
      throw new KubeError(
        NO_ANSWER,
        'InvalidConfiguration',
        `${this.source} cannot be used: ${(error as Error).message}`,
        { cause: error },
      );
    });
    return this.#loaded;
  }

  async endpoint() {
    const config = await this.#config();
    const { ca, cert, key, servername, rejectUnauthorized } = await config.options();
    const all = { ca, cert, key, servername, rejectUnauthorized };
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    return { url: config.url, tls: given as TlsOptions };
  }

  async credentials() {
    const { headers = {}, auth } = await (await this.#config()).options();
    const result: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers)) result[name.toLowerCase()] = String(value);
    if (auth !== undefined) result.authorization = `Basic ${Buffer.from(auth).toString('base64')}`;
    return result;
  }
}

/** Where to look for the cluster. */
export interface AccessOptions {
  /** Path of a kubeconfig file. Without one: the Pod's service account, else the user's default kubeconfig. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Finds out how to reach the API server. Files are read when the first request is made.
 *
 * @throws KubeError InvalidConfiguration if there is neither a kubeconfig nor a service account
 */
export function loadKubeConfig({ kubeconfig, context, env = process.env }: AccessOptions = {}): ApiAccess {
  if (kubeconfig !== undefined) return new KubeconfigAccess(kubeconfig, context);
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443', KUBECONFIG } = env;
  if (host !== undefined && existsSync(`${SERVICE_ACCOUNT}/token`)) return new InClusterAccess(host, port);
  if (KUBECONFIG !== undefined || existsSync(join(homedir(), '.kube', 'config')))
    return new KubeconfigAccess(undefined, context);
  throw new KubeError(
    NO_ANSWER,
    'InvalidConfiguration',
    'no cluster to talk to: this is no Pod with a service account, and there is no kubeconfig (set KUBECONFIG)',
  );
}
