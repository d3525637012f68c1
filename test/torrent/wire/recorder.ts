// A handler that writes down what it hears, as text, so that tests compare whole conversations.
import type { MessageHandler } from '../../../torrent/wire/message-reader.ts';

/** Every message as one line; blocks and payloads in hex. */
export function recorder(): { handler: MessageHandler; heard: string[] } {
  const heard: string[] = [];
  const say =
    (name: string) =>
    (...numbers: number[]) => {
      heard.push([name, ...numbers].join(' '));
    };
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const handler: MessageHandler = {
    keepAlive: say('keepAlive'),
    choke: say('choke'),
    unchoke: say('unchoke'),
    interested: say('interested'),
    notInterested: say('notInterested'),
    have: say('have'),
    bitfield: (bytes) => heard.push(`bitfield ${hex(bytes)}`),
    haveAll: say('haveAll'),
    haveNone: say('haveNone'),
    request: say('request'),
    cancel: say('cancel'),
    reject: say('reject'),
    block: (piece, begin, buffer, start, length) =>
      heard.push(`block ${piece} ${begin} ${hex(buffer.subarray(start, start + length))}`),
    suggest: say('suggest'),
    allowedFast: say('allowedFast'),
    extended: (id, payload) => heard.push(`extended ${id} ${hex(payload)}`),
  };
  return { handler, heard };
}
