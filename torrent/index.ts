// The door of the BitTorrent engine: what other rooms may use. Who runs swarms enters by session/index.ts as well, and the
// simulation alone by swarm/.
export * from './bencode.ts';
export * from './bitfield.ts';
export { type Content, contentFault, type FindOptions, findContent, refuseChanges } from './content-files.ts';
export * from './create.ts';
export * from './discovery/announce-reply.ts';
export * from './discovery/discovery.ts';
export * from './discovery/own-client.ts';
export * from './discovery/rendezvous.ts';
export * from './discovery/static-peers.ts';
export * from './discovery/tracker-client.ts';
export * from './discovery/tracker-discovery.ts';
export * from './errors.ts';
export { hashContent } from './hash-content.ts';
export * from './magnet.ts';
export * from './memory-ledger.ts';
export * from './metainfo.ts';
export { nameFault } from './paths.ts';
export * from './storage/memory.ts';
export * from './storage/open-storage.ts';
export * from './storage/piece-storage.ts';
export { hostNetwork } from './swarm/peers/host-network.ts';
export { boundYoungGeneration } from './young-generation.ts';
