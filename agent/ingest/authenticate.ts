// Who may stream to this node: the Pod that a reservation names, proved by its token (TokenReview). Invariant:
// nothing is accepted before a reservation names the Pod's UID, because anybody can make a Pod of a given name.
import { createHash } from 'node:crypto';
import { INGEST_AUDIENCE, type Reservation } from '../../api/index.ts';
import type { Clock } from '../../base/index.ts';
import { IngestRefusal } from './errors.ts';

/** What the API server says of a token (authentication.k8s.io TokenReview). */
export interface ReviewedToken {
  authenticated: boolean;
  username?: string;
  extra?: { [key: string]: string[] };
  audiences?: string[];
}

/** Asks the API server about a token. */
export type TokenReviewer = (token: string, audiences: string[]) => Promise<ReviewedToken>;

/** Who a token is of. */
export interface TokenOwner {
  namespace: string;
  podUID: string;
}

const POD_UID_KEY = 'authentication.kubernetes.io/pod-uid';
/** A Pod that is gone may go on for so long: a publisher streams many files, each of them a call. */
const REMEMBER_MILLISECONDS = 60_000;
const MAX_REMEMBERED = 256;
const MAX_TOKEN_LENGTH = 16_384;

function ownerOf(review: ReviewedToken): TokenOwner | undefined {
  if (!review.authenticated || review.audiences?.includes(INGEST_AUDIENCE) !== true) return undefined;
  const [prefix, kind, namespace] = (review.username ?? '').split(':');
  const podUID = review.extra?.[POD_UID_KEY]?.[0];
  if (prefix !== 'system' || kind !== 'serviceaccount' || !namespace || !podUID) return undefined;
  return { namespace, podUID };
}

/** Checks tokens, and remembers the good ones for a minute. */
export class Authenticator {
  readonly #review: TokenReviewer;
  readonly #clock: Clock;
  /** By SHA-256 of the token; oldest first. */
  readonly #remembered = new Map<string, { owner: TokenOwner; until: number }>();

  constructor(review: TokenReviewer, clock: Clock) {
    this.#review = review;
    this.#clock = clock;
  }

  /**
   * Whose token an Authorization header carries.
   * @throws IngestRefusal Unauthenticated, or Unavailable while the API server cannot be asked
   */
  async authenticate(authorization: string | undefined): Promise<TokenOwner> {
    const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined || token.length > MAX_TOKEN_LENGTH)
      throw new IngestRefusal('Unauthenticated', 'the call must carry a bearer token');
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(key);
    if (known !== undefined && known.until > this.#clock.now()) return known.owner;
    this.#remembered.delete(key);

    let review: ReviewedToken;
    try {
      review = await this.#review(token, [INGEST_AUDIENCE]);
    } catch (error) {
      throw new IngestRefusal('Unavailable', 'the token cannot be checked just now', { cause: error });
    }
    const owner = ownerOf(review);
    if (owner === undefined)
      throw new IngestRefusal('Unauthenticated', 'the token is not a valid one of a Pod for this audience');
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size < MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
    this.#remembered.set(key, { owner, until: this.#clock.now() + REMEMBER_MILLISECONDS });
    return owner;
  }
}

/**
 * Judges whether a Pod may stream for a reservation.
 * @throws IngestRefusal NoReservation, ReservationPending, WrongPod
 */
export function expectReserved(
  reservation: Reservation | undefined,
  attempt: number,
  owner: TokenOwner,
): Reservation {
  if (reservation === undefined || reservation.attempt !== attempt)
    throw new IngestRefusal('NoReservation', 'this node has no reservation for this attempt');
  if (reservation.podNamespace !== owner.namespace)
    throw new IngestRefusal('WrongPod', 'the reservation is of another namespace');
  if (reservation.podUID === undefined)
    throw new IngestRefusal('ReservationPending', 'the reservation does not name its Pod yet');
  if (reservation.podUID !== owner.podUID)
    throw new IngestRefusal('WrongPod', 'the reservation is of another Pod');
  return reservation;
}
