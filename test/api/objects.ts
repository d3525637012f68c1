// Right objects of every kind, for tests to spoil.
import type { ContentDistribution, ContentRevision, NodeContent } from '../../api/index.ts';

export const UID = '7b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c11';
const DIGEST = `sha256:3f2a91c07b1e${'0'.repeat(52)}`;

/** A distribution; `spec` replaces whole fields of its spec. */
export function contentDistribution(spec: Record<string, unknown> = {}): ContentDistribution {
  return {
    apiVersion: 'enxame.dev/v1alpha1',
    kind: 'ContentDistribution',
    metadata: { name: 'llama', namespace: 'ml' },
    spec: {
      source: { http: { files: [{ path: 'model.bin', url: 'https://models.example.com/model.bin' }] } },
      ...spec,
    },
  };
}

/** A revision; `spec` replaces whole fields of its spec. */
export function contentRevision(spec: Record<string, unknown> = {}): ContentRevision {
  return {
    apiVersion: 'enxame.dev/v1alpha1',
    kind: 'ContentRevision',
    metadata: { name: 'llama-3f2a91c07b1e', namespace: 'ml' },
    spec: {
      distributionUID: UID,
      distribution: 'llama',
      sourceState: '0123456789abcdef',
      sequence: 1,
      revision: '3f2a91c07b1e',
      digest: DIGEST,
      infoHash: 'ab'.repeat(20),
      sizeBytes: 16060522240,
      metainfoBytes: 80000,
      files: 12,
      pieceLength: 4194304,
      activation: { epoch: 0 },
      ...spec,
    },
  };
}

/** A node's content. */
export function nodeContent(): NodeContent {
  return {
    apiVersion: 'enxame.dev/v1alpha1',
    kind: 'NodeContent',
    metadata: { name: 'node-1' },
    spec: {
      storage: { capacity: '100Gi', reserve: '5Gi' },
      publishing: [
        {
          uid: UID,
          attempt: 1,
          sourceState: '0123456789abcdef',
          distributionName: 'llama',
          podNamespace: 'ml',
          podName: 'enxame-publish-0123456789abcdef0123',
        },
      ],
    },
    status: {
      agent: { version: '0.1.0', podUID: UID, address: '10.0.0.7' },
      storage: {
        capacityBytes: 107374182400,
        usedBytes: 16060522240,
        reservedBytes: 0,
        availableBytes: 85899345920,
      },
      publishing: [
        { uid: UID, attempt: 1, phase: 'Published', digest: DIGEST, sizeBytes: 16060522240, files: 12 },
      ],
      revisions: [
        {
          namespace: 'ml',
          distribution: 'llama',
          uid: UID,
          revision: '3f2a91c07b1e',
          phase: 'Held',
          active: true,
          heldAt: '2026-11-23T12:00:00Z',
        },
      ],
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          lastTransitionTime: '2026-11-23T12:00:00Z',
          reason: 'AgentRunning',
          message: 'The agent runs.',
        },
      ],
    },
  };
}
