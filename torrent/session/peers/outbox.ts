// Lets connections send once a turn of the event loop, so that many messages leave in one system call. Invariant:
// a connection that says something is flushed before the next I/O is looked at.

/** What has something to send. */
interface Sender {
  flush(): void;
}

/** The connections of one torrent that have something to send. Hot: once a burst of messages. */
export class Outbox {
  readonly #waiting: Sender[] = [];
  #willFlush = false;

  /** The sender is flushed soon; it comes once until then. */
  add(sender: Sender): void {
    this.#waiting.push(sender);
    if (this.#willFlush) return;
    this.#willFlush = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#willFlush = false;
    // flush() may drop a peer, which makes others send: they are served in the same go.
    for (let i = 0; i < this.#waiting.length; i++) (this.#waiting[i] as Sender).flush();
    this.#waiting.length = 0;
  };
}
