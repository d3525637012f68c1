/**
 * Judges agents' tokens by the API server (TokenReview). Invariant: only a token for ANNOUNCE_AUDIENCE of the one
 * service account that was named is an agent's.
 */
import { ANNOUNCE_AUDIENCE } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { createClient, loadKubeConfig, reviewToken } from '../../kube/index.ts';
import type { TokenJudge } from '../../tracker/agent-tokens.ts';
import { VERSION } from '../version.ts';

const NODE_NAME_KEY = 'authentication.kubernetes.io/node-name';

/** @param account NAMESPACE/NAME of the agents' service account */
export function agentJudge(account: string, { logger }: { logger: Logger }): TokenJudge {
  const client = createClient(loadKubeConfig({}), { userAgent: `enxame-tracker/${VERSION}`, logger });
  const agent = `system:serviceaccount:${account.replace('/', ':')}`;
  return async (token) => {
    const { authenticated, audiences, username, extra } = await reviewToken(client, token, [
      ANNOUNCE_AUDIENCE,
    ]);
    if (!authenticated || audiences?.includes(ANNOUNCE_AUDIENCE) !== true || username !== agent)
      return undefined;
    return { node: extra?.[NODE_NAME_KEY]?.[0] };
  };
}
