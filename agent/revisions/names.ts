// Which distribution a name belongs to. A distribution deleted and made anew under its name is another one, and
// its name must never lead to the files of the one before.
import type { ContentRevision } from '../../api/index.ts';

/** By `NAMESPACE/NAME`: the UID of the newest distribution that is known of that name. */
export function nameOwners(revisions: readonly ContentRevision[]): Map<string, string> {
  const newest = new Map<string, { uid: string; at: number }>();
  for (const { metadata, spec } of revisions) {
    const name = `${metadata.namespace}/${spec.distribution}`;
    const at = Date.parse(metadata.creationTimestamp ?? '') || 0;
    const known = newest.get(name);
    if (known === undefined || at > known.at) newest.set(name, { uid: spec.distributionUID, at });
  }
  return new Map([...newest].map(([name, { uid }]) => [name, uid]));
}
