import { expect, test } from '@jest/globals';
import { indexPage } from '../../../tracker/http/index-page.ts';

const COUNTS = { seeders: 1, leechers: 2, completed: 3 };

test('names of torrents are text, whatever is in them', () => {
  const name = `<script>alert("1")</script>&'`;
  const page = indexPage([{ infoHashHex: 'aa'.repeat(20), name, totalBytes: 1536, ...COUNTS }], 1);
  expect(page).not.toContain('<script>');
  expect(page).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;');
  expect(page).toContain('1.5 KiB');
  expect(page).toContain(`href="/torrents/${'aa'.repeat(20)}.torrent"`);
});

test('says where it was cut', () => {
  const entry = { infoHashHex: 'aa'.repeat(20), name: undefined, totalBytes: undefined, ...COUNTS };
  expect(indexPage([entry], 5)).toContain('The first 1 of 5.');
  expect(indexPage([entry], 1)).not.toContain('The first');
});
