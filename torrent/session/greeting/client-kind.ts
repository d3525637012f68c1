// Which client a peer id belongs to (BEP 20). Anybody may claim to be any: it decides nothing that must be true.

/** The first bytes of a peer id name the client, the version behind them. */
const CLIENT_BYTES = 3;

/** True if both peers say that they are the same client. */
export function areOfOneKind(peerId: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(peerId.subarray(0, CLIENT_BYTES), other.subarray(0, CLIENT_BYTES)) === 0;
}
