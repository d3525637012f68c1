// Where things lie below the content root. Invariant: a path made here names
// something below the root, because every part that comes from outside is checked for its form first.
import { join } from 'node:path';
import { AgentError } from '../errors.ts';

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const REVISION = /^[0-9a-f]{12}$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Whether a text is the UID of an object. */
export const isUid = (text: string): boolean => UID.test(text);
/** Whether a text is the name of a revision. */
export const isRevision = (text: string): boolean => REVISION.test(text);
/** Whether a text is the name of a namespace. */
export const isNamespace = (text: string): boolean => NAMESPACE.test(text);
/** Whether a text is the name of an object. */
export const isName = (text: string): boolean => NAME.test(text) && !text.includes('..');

function checked(text: string, isGood: (text: string) => boolean, what: string): string {
  if (!isGood(text)) throw new AgentError('RootDamaged', `${JSON.stringify(text)} is not ${what}`);
  return text;
}

const uidPart = (uid: string) => checked(uid, isUid, 'a UID');
const revisionPart = (revision: string) => checked(revision, isRevision, 'a revision');
const namespacePart = (namespace: string) => checked(namespace, isNamespace, 'a namespace');
const namePart = (name: string) => checked(name, isName, 'a name');

/** Name of the symlink that says which revision is active. */
export const CURRENT = 'current';
/** What a half-made symlink is called, beside the one that it is to become. */
export const NEW_LINK_PREFIX = '.new-';

/** Paths below one content root. */
export class Layout {
  readonly root: string;
  readonly contents: string;
  readonly names: string;
  readonly staging: string;
  readonly downloads: string;
  readonly ingests: string;
  readonly trash: string;
  readonly state: string;
  readonly records: string;
  readonly ingestRecords: string;
  readonly format: string;
  readonly lock: string;
  readonly pins: string;
  readonly deletions: string;
  readonly trackers: string;

  constructor(root: string) {
    this.root = root;
    this.contents = join(root, 'content');
    this.names = join(root, 'by-name');
    this.staging = join(root, 'staging');
    this.downloads = join(this.staging, 'download');
    this.ingests = join(this.staging, 'ingest');
    this.trash = join(this.staging, 'trash');
    this.state = join(root, 'state');
    this.records = join(this.state, 'content');
    this.ingestRecords = join(this.state, 'ingest');
    this.format = join(this.state, 'format');
    this.lock = join(this.state, 'lock.sock');
    this.pins = join(this.state, 'pins.json');
    this.deletions = join(this.state, 'deletions.json');
    this.trackers = join(this.state, 'trackers.json');
  }

  /** Every folder that is always there, parents first. */
  get folders(): string[] {
    return [
      this.contents,
      this.names,
      this.staging,
      this.downloads,
      this.ingests,
      this.trash,
      this.state,
      this.records,
      this.ingestRecords,
    ];
  }

  /** Held revisions of a distribution, and `current`. */
  content(uid: string): string {
    return join(this.contents, uidPart(uid));
  }
  /** A held revision. */
  revision(uid: string, revision: string): string {
    return join(this.content(uid), revisionPart(revision));
  }
  current(uid: string): string {
    return join(this.content(uid), CURRENT);
  }
  namespace(namespace: string): string {
    return join(this.names, namespacePart(namespace));
  }
  /** The symlink by which people and host-path Pods find a content. */
  byName(namespace: string, name: string): string {
    return join(this.namespace(namespace), namePart(name));
  }
  /** What that symlink says. */
  byNameTarget(uid: string): string {
    return `../../content/${uidPart(uid)}`;
  }
  /** Revisions of a distribution that are being downloaded. */
  downloadsOf(uid: string): string {
    return join(this.downloads, uidPart(uid));
  }
  download(uid: string, revision: string): string {
    return join(this.downloadsOf(uid), revisionPart(revision));
  }
  /** What a publisher has streamed so far. */
  ingest(uid: string): string {
    return join(this.ingests, uidPart(uid));
  }
  ingestRecord(uid: string): string {
    return join(this.ingestRecords, `${uidPart(uid)}.json`);
  }
  /** What is remembered of a distribution. */
  recordsOf(uid: string): string {
    return join(this.records, uidPart(uid));
  }
  record(uid: string): string {
    return join(this.recordsOf(uid), 'content.json');
  }
  metainfo(uid: string, revision: string): string {
    return join(this.recordsOf(uid), `${revisionPart(revision)}.torrent`);
  }
  resume(uid: string, revision: string): string {
    return join(this.recordsOf(uid), `${revisionPart(revision)}.resume`);
  }
}
