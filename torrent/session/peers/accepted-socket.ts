// Lets an accepted socket read into a buffer of ours. Node offers that (`onread`) for sockets that dial only; an
// accepted one has to be wrapped anew around its handle, which is a private field. This is the one place that
// touches it; where Node no longer has it, the socket stays as it is and brings a new buffer with every read.
// Measured: a read into a new buffer costs a seed a third of its time in garbage collections.
import { Socket, type SocketConstructorOpts } from 'node:net';

/** How a server must be made for takeReads(): nothing is read before it. */
export const ACCEPT_OPTIONS = { pauseOnConnect: true } as const;

/** The part of a socket that is not public. */
interface WithHandle {
  _handle?: unknown;
}

/**
 * Has an accepted, paused socket read into `buffer`: `received` is called with the number of bytes, which are valid
 * during the call only.
 * @returns the socket to go on with; the one that was handed in is not to be used any more.
 */
export function takeReads(accepted: Socket, buffer: Buffer, received: (bytes: Buffer) => void): Socket {
  const handle = (accepted as WithHandle)._handle;
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) {
    accepted.on('data', received);
    return accepted.resume();
  }
  (accepted as WithHandle)._handle = null;
  // Without a handle this ends nothing but the server's count of it.
  accepted.destroy();
  const options = {
    handle,
    onread: {
      buffer,
      callback(count: number) {
        received(buffer.subarray(0, count));
        return true;
      },
    },
  };
  // The types know handles of other kinds only.
  return new Socket(options as unknown as SocketConstructorOpts);
}
