// Every number of the swarm that could be another one, in one place. Times in milliseconds, sizes in bytes.
// Where a number differs between the policies it stands in policy/.

/** All time-outs are looked at this often; there is no timer besides. */
export const TICK_MILLISECONDS = 100;

/** HAVE leaves this long after the piece was verified, at the latest. */
export const HAVE_DELAY_MILLISECONDS = 5;

/** Pieces that are chosen at random before rarest first begins. */
export const RANDOM_FIRST_PIECES = 4;

/** What is asked of a peer before anything is known about it: 4 blocks of 16 KiB. */
export const FIRST_REQUESTED_BYTES = 64 * 1024;

/** What is asked at least of a peer that is asked for pieces in their order: it begins the next answer in time. */
export const READ_AHEAD_BYTES = 1024 * 1024;

/** What may be outstanding at a peer whatever its share of the rest is (Policy.mostShare). */
export const LEAST_REQUESTED_BYTES = 32 * 1024;

/** Time constant of the average rate that decides how many requests are outstanding. */
export const RATE_WINDOW_MILLISECONDS = 1000;

/** Memory for pieces that are started; below it everybody may start more. */
export const STARTED_BYTES = 64 * 1024 * 1024;

/** Memory for started pieces where many peers want one each and pieces are long, and no ledger says what there is. */
export const MAX_STARTED_BYTES = 256 * 1024 * 1024;

/** Started pieces for each peer that unchokes us, so that each finds one of its own … */
export const STARTED_PER_PEER = 2;

/** … and at most, where such as have none of the started ones come and go and pieces wait on disk. */
export const MAX_STARTED_PER_PEER = 4;

/** Pieces waiting for their hash and the disk; beyond it nothing more is asked for. */
export const MAX_VERIFYING_BYTES = 16 * 1024 * 1024;

/** A request is asked elsewhere after this long without a block from the peer, or … */
export const STALL_MILLISECONDS = 1000;

/** … after this many times what the peer's queue should take. */
export const STALL_FACTOR = 4;

/** Copies of one block that may be asked for in endgame. */
export const ENDGAME_COPIES = 2;

/** Requests of a peer that we keep; BEP 10 `reqq` tells it. */
export const MAX_QUEUED_REQUESTS = 2000;

/** Messages of one turn at the uplink. */
export const TURN_BLOCKS = 32;

/** A turn takes at most this long at the present rate. */
export const TURN_MILLISECONDS = 5;

/** What is handed to one peer's socket at most: this long at the present rate, between two bounds. */
export const HANDED_MILLISECONDS = 150;
export const MIN_HANDED_BYTES = 128 * 1024;
export const MAX_HANDED_BYTES = 1024 * 1024;

/**
 * What is handed to all sockets together: this long at the present rate, and at least so much. More would be sent
 * in an order that nobody chose.
 */
export const ALL_HANDED_MILLISECONDS = 10;
export const LEAST_ALL_HANDED_BYTES = 64 * 1024;

/** What was handed to a socket that sent nothing for this long does not count there. */
export const STUCK_MILLISECONDS = 250;

/** A choker round, and the rounds after which another peer gets the optimistic slot (BEP 3: 10 s and 30 s). */
export const CHOKER_ROUND_MILLISECONDS = 10_000;
export const OPTIMISTIC_ROUNDS = 3;

/** A peer that sent nothing for this long though it unchoked us and owes us blocks has snubbed us. */
export const SNUB_MILLISECONDS = 30_000;

/** Peers unchoked for what they gave, and at random. */
export const REGULAR_SLOTS = 3;
export const OPTIMISTIC_SLOTS = 1;

/** Messages that change nothing or little (keep-alives, what is known, chokes, interests) tolerated in a second. */
export const MAX_IDLE_MESSAGES_PER_SECOND = 500;

/**
 * Pieces that a peer may lose (BEP 54): so many at once, then so many in a second. Who loses more, many files for
 * instance, comes back and shows what it has.
 */
export const MAX_LOST_PIECES = 500;
export const LOST_PIECES_PER_SECOND = 1;

/** Blocks nobody asked for that are tolerated beyond those whose request was taken back. */
export const MAX_UNSOLICITED_BLOCKS = 32;

/** Pieces a peer may let us ask for while it chokes us; more are forgotten. */
export const MAX_ALLOWED_FAST = 32;

/** Addresses that are remembered of one swarm. */
export const MAX_KNOWN_ADDRESSES = 1000;

/** Waits between dials of one address: doubled from the first to the last, with jitter. */
export const FIRST_REDIAL_MILLISECONDS = 500;

/** Failed pieces whose senders are remembered until the piece verifies. */
export const MAX_REMEMBERED_FAILURES = 64;

/** Pieces that failed with blocks of several peers and are fetched of one peer alone; more are fetched like others. */
export const MAX_SUSPECT_PIECES = 64;

/** A peer's first time for such a piece, while another one could give it; it doubles with each further attempt. */
export const FIRST_ATTEMPT_MILLISECONDS = 10_000;

/** Clients of our own kind in one /64 of IPv6 that are banned one by one; then the whole of it is. */
export const MAX_BANNED_OF_RANGE = 4;

/** A peer that was suggested a piece has this long to ask for it. */
export const SUGGESTION_MILLISECONDS = 500;

/** A seed that owes blocks to a peer and sends it nothing says that it lives. */
export const OWING_KEEP_ALIVE_MILLISECONDS = 3000;

/** Hosts whose part in failed pieces is remembered, and hosts that are banned, of one swarm. */
export const MAX_KNOWN_IDENTITIES = 4096;
