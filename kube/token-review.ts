// Asks the API server whose a token is.
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { TOKEN_REVIEWS } from './resource-types.ts';

/** What the API server says of a token. */
export interface TokenReviewResult {
  authenticated: boolean;
  username?: string;
  uid?: string;
  groups?: string[];
  /** Among them, for tokens of Pods, `authentication.kubernetes.io/pod-uid` and `…/node-name`. */
  extra?: { [key: string]: string[] };
  /** Those of the asked audiences that the token is good for. */
  audiences?: string[];
}

interface TokenReview {
  metadata?: object;
  apiVersion: string;
  kind: string;
  spec: { token: string; audiences: string[] };
  status?: {
    authenticated?: boolean;
    user?: Omit<TokenReviewResult, 'authenticated' | 'audiences'>;
    audiences?: string[];
  };
}

/**
 * Has a token checked (authentication.k8s.io TokenReview).
 *
 * @param audiences the token must be good for at least one of them
 * @throws KubeError when the API server cannot say
 */
export async function reviewToken(
  client: KubeClient,
  token: string,
  audiences: string[],
): Promise<TokenReviewResult> {
  const { status } = await client.resource<TokenReview>(TOKEN_REVIEWS).create({
    apiVersion: 'authentication.k8s.io/v1',
    kind: TOKEN_REVIEWS.kind,
    spec: { token, audiences },
  });
  if (status === undefined)
    throw new KubeError(201, 'InvalidAnswer', 'a TokenReview came back without status');
  const { authenticated = false, user = {}, audiences: accepted } = status;
  return { ...user, authenticated, ...(accepted === undefined ? {} : { audiences: accepted }) };
}
