import { expect, test } from '@jest/globals';
import { withHiddenCredentials, withoutCredentials } from '../../../cli/options/urls.ts';

test.each([
  ['http://me:secret@host/a?b=c@d', 'http://***@host/a?b=c@d', 'http://host/a?b=c@d'],
  ['https://me@host', 'https://***@host', 'https://host'],
  ['udp://a:b@c@host:1/', 'udp://***@host:1/', 'udp://host:1/'],
  ['http://host/@me:secret', 'http://host/@me:secret', 'http://host/@me:secret'],
  ['no url, a@b', 'no url, a@b', 'no url, a@b'],
])('user and password of %s', (url, shown, without) => {
  expect(withHiddenCredentials(url)).toBe(shown);
  expect(withoutCredentials(url)).toBe(without);
});
