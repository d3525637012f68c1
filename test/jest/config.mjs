// One configuration for all suites. Which files a suite holds stands in test/run.ts.
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

export default {
  rootDir: root,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testEnvironment: 'node',
  testSequencer: '<rootDir>/test/jest/sequencer.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/jest/strip-types.mjs' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/build/'],
  haste: { forceNodeFilesystemAPI: true },
  watchman: false,
};
