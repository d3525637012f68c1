// What a transfer is about: a revision, as an object says it or as the disk remembers it.
import { type ContentRevision, parseLimits } from '../../api/index.ts';
import type { PolicyName, TransferLimits } from '../../torrent/session/index.ts';

/** The identity of a revision; never changes. */
export interface Target {
  readonly uid: string;
  readonly revision: string;
  readonly infoHash: string;
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly sizeBytes: number;
}

/** How it is to be transferred; may change at any time. */
export interface TransferSettings {
  readonly paused: boolean;
  readonly policy: PolicyName;
  readonly limits: TransferLimits;
}

/** The key of a revision within this node. */
export const keyOf = (uid: string, revision: string): string => `${uid}/${revision}`;

/** The revision that an object is about. */
export function targetOf({ spec }: ContentRevision): Target {
  const { distributionUID: uid, revision, infoHash, digest, sizeBytes } = spec;
  return { uid, revision, infoHash, digest, sizeBytes };
}

/** How an object wants its revision to be transferred; the object has passed parseContentRevision. */
export function settingsOf({ spec }: ContentRevision, nodePaused: boolean): TransferSettings {
  return {
    paused: nodePaused || spec.paused === true,
    policy: spec.swarm?.policy === 'Classic' ? 'classic' : 'cluster',
    limits: parseLimits(spec.limits),
  };
}

/** Settings of a revision whose object has not been seen since the start. */
export const DEFAULT_SETTINGS: TransferSettings = { paused: false, policy: 'cluster', limits: {} };

/** Whether two sets of limits are equal. */
export function sameLimits(a: TransferLimits, b: TransferLimits): boolean {
  return (
    a.uploadBytesPerSecond === b.uploadBytesPerSecond && a.downloadBytesPerSecond === b.downloadBytesPerSecond
  );
}
