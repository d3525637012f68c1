// What the image's programs find in their environment. The Dockerfile says the same.

/**
 * glibc keeps what a program gave back of large buffers, and more of it the larger they were: an agent that had moved
 * a few GiB held 40 MiB that nobody used. With fixed thresholds each buffer from 128 KiB on goes back to the system.
 */
export const MALLOC_ENVIRONMENT = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

export const IMAGE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin',
  NODE_ENV: 'production',
  ...MALLOC_ENVIRONMENT,
};
