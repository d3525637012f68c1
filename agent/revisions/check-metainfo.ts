// Whether metainfo is that of a revision. Invariant: what passes here has the info hash that the operator gave,
// and its files' SHA-256 make the manifest whose digest the operator gave; so no tracker and no peer can put
// other content, or another path, on this node.
import { infoSource, pathProblem } from '../../api/index.ts';
import { isTorrentError, type Metainfo, parseMetainfo } from '../../torrent/index.ts';
import { AgentError } from '../errors.ts';
import { manifestDigest } from '../ingest/manifest.ts';
import type { Target } from './target.ts';

function parse(bytes: Uint8Array): Metainfo {
  try {
    return parseMetainfo(bytes);
  } catch (error) {
    if (!isTorrentError(error)) throw error;
    throw new AgentError('MetainfoInvalid', error.message, { cause: error });
  }
}

/**
 * Parses metainfo and checks it against a revision.
 * @throws AgentError MetainfoInvalid, DigestMismatch
 */
export function checkMetainfo(bytes: Uint8Array, target: Target): Metainfo {
  const metainfo = parse(bytes);
  const wrong = (what: string) =>
    new AgentError('MetainfoInvalid', `metainfo of ${target.infoHash}: ${what}`);
  if (metainfo.infoHashHex !== target.infoHash)
    throw wrong(`it has the info hash ${metainfo.infoHashHex} instead`);
  if (!metainfo.isPrivate || metainfo.isSingleFile || metainfo.source !== infoSource(target.uid))
    throw wrong('it was not made by an agent for this distribution');
  if (metainfo.totalBytes !== target.sizeBytes)
    throw wrong(`it has ${metainfo.totalBytes} bytes of content instead of ${target.sizeBytes}`);
  const digest = manifestDigest(
    metainfo.files.map(({ path, lengthBytes, executable, padding, sha256 }) => {
      const joined = path.join('/');
      const problem = pathProblem(joined);
      if (problem !== undefined) throw wrong(`path ${JSON.stringify(joined)} ${problem}`);
      if (padding || sha256 === undefined) throw wrong(`${joined} has no SHA-256`);
      return { path: joined, sizeBytes: lengthBytes, executable, sha256: sha256.toString('hex') };
    }),
  );
  if (digest !== target.digest) {
    throw new AgentError(
      'DigestMismatch',
      `the manifest of ${target.infoHash} has the digest ${digest}, and the revision says ${target.digest}`,
    );
  }
  return metainfo;
}
