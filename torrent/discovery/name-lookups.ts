// Addresses of names, by the system's own look-up (getaddrinfo: hosts file, search domains, both families). It takes one
// of libuv's four threads, which the disk works with too, for as long as a name server is silent, and cannot be given up.
// Invariants: at most MAX_AT_ONCE look-ups are under way in the process, of which names of peers, that anybody can make
// up, have one at most; nobody waits for longer than LOOKUP_TIMEOUT_MILLISECONDS.
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { type Clock, systemClock } from '../../base/index.ts';

/** Two threads are left for the disk. */
const MAX_AT_ONCE = 2;
const MAX_OF_PEERS_AT_ONCE = 1;

/** From the question on; the answer, which may come later, serves whoever asks next. */
const LOOKUP_TIMEOUT_MILLISECONDS = 10_000;

/** Addresses are believed for this long. Failures are not: a name that comes into being is found at once. */
const VALID_MILLISECONDS = 5_000;

/** Names that wait, and names that are known. */
const MAX_WAITING = 256;
const MAX_KNOWN = 256;

/** Whose name it is. */
type NameOf = 'server' | 'peer';

/** What may differ between two look-ups of one name. */
type Question = Pick<LookupOptions, 'family' | 'hints'>;

/** The system's look-up. */
type Resolve = (hostname: string, question: Question) => Promise<readonly LookupAddress[]>;

interface Task {
  readonly key: string;
  readonly hostname: string;
  readonly question: Question;
  isOfPeer: boolean;
  readonly answer: PromiseWithResolvers<readonly LookupAddress[]>;
}

function resolveBySystem(hostname: string, question: Question): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { ...question, all: true }, (error, addresses) =>
      error === null ? resolve(addresses) : reject(error),
    );
  });
}

/** As the system says it where no name server answers. */
function tryAgain(hostname: string, why: string): Error {
  return Object.assign(new Error(`the address of ${hostname} is not known: ${why}`), {
    code: 'EAI_AGAIN',
    hostname,
  });
}

/** Look-ups that share threads and answers. */
export class NameLookups {
  readonly #resolve: Resolve;
  readonly #clock: Clock;
  /** Under way or waiting, by name and question. */
  readonly #tasks = new Map<string, Task>();
  /** Those that wait, the oldest first. */
  readonly #waiting: Task[] = [];
  readonly #known = new Map<
    string,
    { readonly addresses: readonly LookupAddress[]; readonly until: number }
  >();
  #underWay = 0;
  #ofPeersUnderWay = 0;

  constructor(resolve: Resolve = resolveBySystem, clock: Clock = systemClock) {
    this.#resolve = resolve;
    this.#clock = clock;
  }

  /**
   * All addresses of a name, in the system's order.
   * @throws what the system's look-up failed of; an error with the code EAI_AGAIN if it takes too long
   */
  async find(hostname: string, nameOf: NameOf, question: Question = {}): Promise<readonly LookupAddress[]> {
    const family = isIP(hostname);
    if (family !== 0) return [{ address: hostname, family }];
    const key = `${question.family ?? 0} ${question.hints ?? 0} ${hostname}`;
    const known = this.#known.get(key);
    if (known !== undefined && this.#clock.monotonic() < known.until) return known.addresses;
    const task = this.#taskOf(key, hostname, nameOf, question);
    return new Promise((resolve, reject) => {
      const late = () => reject(tryAgain(hostname, 'the look-up takes too long'));
      const cancel = this.#clock.after(LOOKUP_TIMEOUT_MILLISECONDS, late);
      task.answer.promise.then(resolve, reject).finally(cancel);
    });
  }

  /** The same for the option `lookup` of sockets and requests. */
  lookupOf(nameOf: NameOf): LookupFunction {
    return (hostname, { all, family, hints }, callback) => {
      this.find(hostname, nameOf, { family, hints }).then(
        (addresses) => {
          const [first] = addresses;
          if (all) callback(null, [...addresses]);
          else if (first !== undefined) callback(null, first.address, first.family);
          else callback(tryAgain(hostname, 'it has none'), '');
        },
        (error: NodeJS.ErrnoException) => callback(error, ''),
      );
    };
  }

  #taskOf(key: string, hostname: string, nameOf: NameOf, question: Question): Task {
    const isOfPeer = nameOf === 'peer';
    const present = this.#tasks.get(key);
    if (present !== undefined) {
      present.isOfPeer &&= isOfPeer;
      this.#begin();
      return present;
    }
    if (this.#waiting.length >= MAX_WAITING) throw tryAgain(hostname, 'too many others wait');
    const answer = Promise.withResolvers<readonly LookupAddress[]>();
    // Whoever asked may have gone.
    answer.promise.catch(() => undefined);
    const task: Task = { key, hostname, question, isOfPeer, answer };
    this.#tasks.set(key, task);
    this.#waiting.push(task);
    this.#begin();
    return task;
  }

  #begin(): void {
    while (this.#underWay < MAX_AT_ONCE) {
      const hasRoomForPeers = this.#ofPeersUnderWay < MAX_OF_PEERS_AT_ONCE;
      const at = this.#waiting.findIndex(({ isOfPeer }) => hasRoomForPeers || !isOfPeer);
      const [task] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (task === undefined) return;
      void this.#run(task);
    }
  }

  async #run({ key, hostname, question, isOfPeer, answer }: Task): Promise<void> {
    this.#underWay++;
    if (isOfPeer) this.#ofPeersUnderWay++;
    try {
      const addresses = await this.#resolve(hostname, question);
      this.#remember(key, addresses);
      answer.resolve(addresses);
    } catch (error) {
      answer.reject(error);
    } finally {
      this.#tasks.delete(key);
      this.#underWay--;
      if (isOfPeer) this.#ofPeersUnderWay--;
      this.#begin();
    }
  }

  #remember(key: string, addresses: readonly LookupAddress[]): void {
    this.#known.delete(key);
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size >= MAX_KNOWN) this.#known.delete(oldest);
    this.#known.set(key, { addresses, until: this.#clock.monotonic() + VALID_MILLISECONDS });
  }
}

/** The process's own. */
export const nameLookups = new NameLookups();

/** For names of trackers and web servers. */
export const lookupServer: LookupFunction = nameLookups.lookupOf('server');

/** For names of peers. */
export const lookupPeer: LookupFunction = nameLookups.lookupOf('peer');
