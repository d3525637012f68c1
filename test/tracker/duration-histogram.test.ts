import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { DurationHistogram } from '../../tracker/duration-histogram.ts';

test('reads as a histogram of Prometheus does', async () => {
  const register = new Registry();
  const histogram = new DurationHistogram({
    name: 'x',
    help: 'X.',
    buckets: [0.5, 1],
    registers: [register],
  });
  for (const seconds of [0.25, 0.5, 0.75, 4]) histogram.note(seconds);
  expect(await register.metrics()).toBe(
    [
      '# HELP x X.',
      '# TYPE x histogram',
      'x_bucket{le="0.5"} 2',
      'x_bucket{le="1"} 3',
      'x_bucket{le="+Inf"} 4',
      'x_sum 5.5',
      'x_count 4',
      '',
    ].join('\n'),
  );
});
