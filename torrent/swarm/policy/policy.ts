// What a policy decides of one peer: whether to serve it and what to ask of it. Own agents meet the torrent's policy,
// everybody else the classic one, side by side in one torrent. Invariant: a policy holds no state, so that one object
// serves every torrent.
/** Names of the policies. */
export type PolicyName = 'cluster' | 'classic';

/** A peer that waits to be served, as far as its turn depends on it. */
export interface WaitingPeer {
  /** How much it has, in sixteenths. */
  readonly progress: number;
  readonly upload: {
    /** The number of its last turn. */
    readonly servedAt: number;
    /** The piece that it was served last; -1 once as much as the whole piece was. */
    readonly servedPiece: number;
    readonly requests: { readonly firstPiece: number };
  };
}

/** The numbers and choices in which classic and cluster differ. */
export interface Policy {
  readonly name: PolicyName;
  /** Connections: at most `most`, of which we dial at most `dial`; below `low` we ask for more addresses. */
  readonly peers: { readonly most: number; readonly dial: number; readonly low: number };
  /** Outstanding requests are at least what the peer gives in this time. */
  readonly pipelineMilliseconds: number;
  /** All peers together owe us at most this share of what is missing, as far as delays and LEAST_REQUESTED_BYTES allow. */
  readonly mostShare: number;
  /** We say something at least this often. */
  readonly keepAliveMilliseconds: number;
  /** A peer that says nothing for this long is gone. */
  readonly silenceMilliseconds: number;
  /** An own agent that owes us blocks and says nothing for this long is gone. */
  readonly owingMilliseconds: number;
  /** Pieces chosen at random before rarest first begins. */
  readonly randomFirstPieces: number;
  /** Waits between dials of one address grow to this. */
  readonly longestRedialMilliseconds: number;
  /** More addresses are asked for at most this often. */
  readonly needMoreMilliseconds: number;
  /** The seed directs its peers by suggestions, and leechers follow them. */
  readonly directed: boolean;
  /** Its peers are unchoked as soon as they are known, whatever the choker's rounds say. */
  readonly unchokesAlways: boolean;
  /** True if, of two of its peers who wait and may be served now, `one` comes before `other`. `inOneGo`: a piece that was begun is finished first. Hot. */
  servesBefore(one: WaitingPeer, other: WaitingPeer, inOneGo: boolean): boolean;
}
