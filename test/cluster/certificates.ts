/**
 * Keys and X.509 certificates on disk. A pair that is there is kept as long as it is what was asked for: signed
 * by this CA, of this subject, for these names and addresses, with its own key, and valid for a while yet.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import { runCommand } from './command.ts';

/** How long certificates are valid, in days: longer than anyone keeps a test cluster. */
const VALID_DAYS = 3650;
/** A certificate that ends sooner than this is made anew. */
const KEEP_IF_VALID_FOR_DAYS = 30;
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** Paths of a certificate and its private key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** Who a certificate speaks for. */
export interface Subject {
  readonly commonName: string;
  /** Kubernetes reads these as groups. */
  readonly organization?: string;
  /** DNS names and IP addresses that a server with this certificate may answer for. */
  readonly names?: readonly string[];
}

/** The paths of the pair called `name` in a folder. */
export function keyPair(folder: string, name: string): KeyPair {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

/**
 * Makes sure that the pair is there and as asked for.
 *
 * @param authority signs it; without one the certificate is that of a CA and signs itself
 * @returns whether it was made anew
 */
export async function ensureKeyPair(pair: KeyPair, subject: Subject, authority?: KeyPair): Promise<boolean> {
  if (await isAsAskedFor(pair, subject, authority ?? pair)) return false;
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  // A key and a certificate that do not belong together (a run that ended between the two) are made anew.
  await writeWhole(pair.key, privateKey);
  const work = await mkdtemp(`${pair.certificate}-`);
  try {
    const configuration = join(work, 'openssl.cnf');
    await writeFile(configuration, opensslConfiguration(subject, authority === undefined));
    const certificate = join(work, 'certificate.pem');
    await runCommand('openssl', [
      ...['req', '-new', '-x509', '-sha256', '-batch', '-config', configuration],
      ...['-key', pair.key, '-days', String(VALID_DAYS), '-out', certificate],
      ...(authority === undefined ? [] : ['-CA', authority.certificate, '-CAkey', authority.key]),
    ]);
    await rename(certificate, pair.certificate);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return true;
}

/** Makes sure that there is a bare key and its public half, for signing service accounts' tokens. */
export async function ensureSigningKey(privatePath: string, publicPath: string): Promise<void> {
  try {
    const kept = createPublicKey(createPrivateKey(await readFile(privatePath)));
    if (kept.export({ type: 'spki', format: 'pem' }) === (await readFile(publicPath, 'utf8'))) return;
  } catch {
    // Not there or not a key: made anew.
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writeWhole(privatePath, privateKey);
  await writeWhole(publicPath, publicKey);
}

/** Writes a file that only its owner reads, whole or not at all. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}

async function isAsAskedFor(pair: KeyPair, subject: Subject, authority: KeyPair): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await readFile(pair.certificate));
    const issuer = new X509Certificate(await readFile(authority.certificate));
    const until = Date.parse(certificate.validTo);
    return (
      until > Date.now() + KEEP_IF_VALID_FOR_DAYS * DAY_MILLISECONDS &&
      certificate.verify(issuer.publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(await readFile(pair.key))) &&
      certificate.subject === subjectText(subject) &&
      (certificate.subjectAltName ?? '') === alternativeNamesText(subject.names ?? [])
    );
  } catch {
    // Missing, cut short or no certificate at all: whatever it is, it is not what was asked for.
    return false;
  }
}

/** As `X509Certificate.subject` prints it. */
function subjectText({ commonName, organization }: Subject): string {
  return [...(organization === undefined ? [] : [`O=${organization}`]), `CN=${commonName}`].join('\n');
}

/** As `X509Certificate.subjectAltName` prints it. */
function alternativeNamesText(names: readonly string[]): string {
  return names
    .map((name) => {
      if (isIP(name) === 0) return `DNS:${name}`;
      return `IP Address:${isIP(name) === 4 ? name : ipaddr.parse(name).toNormalizedString().toUpperCase()}`;
    })
    .join(', ');
}

/** A whole configuration, so that the machine's own openssl.cnf has no say. */
function opensslConfiguration(
  { commonName, organization, names = [] }: Subject,
  isAuthority: boolean,
): string {
  const extensions = isAuthority
    ? ['basicConstraints = critical, CA:TRUE', 'keyUsage = critical, keyCertSign, cRLSign']
    : [
        'basicConstraints = critical, CA:FALSE',
        'keyUsage = critical, digitalSignature',
        'extendedKeyUsage = clientAuth, serverAuth',
      ];
  if (names.length > 0) {
    const entries = names.map((name) => (isIP(name) === 0 ? `DNS:${name}` : `IP:${name}`));
    extensions.push(`subjectAltName = ${entries.join(', ')}`);
  }
  return [
    ...['[req]', 'prompt = no', 'distinguished_name = subject', 'x509_extensions = extensions', '[subject]'],
    ...(organization === undefined ? [] : [`O = ${organization}`]),
    ...[`CN = ${commonName}`, '[extensions]', ...extensions, ''],
  ].join('\n');
}
