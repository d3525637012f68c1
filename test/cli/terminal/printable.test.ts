import { expect, test } from '@jest/globals';
import { printable } from '../../../cli/terminal/printable.ts';

test.each([
  ['plain text, ünïcödé 日本語 🐝', 'plain text, ünïcödé 日本語 🐝'],
  ['\u001b[2Jgone', '\ufffd[2Jgone'],
  ['two\r\nlines', 'two\ufffd\ufffdlines'],
  ['C1 \u009b31m', 'C1 \ufffd31m'],
  ['exe.\u202egpj', 'exe.\ufffdgpj'],
])('%j', (text, shown) => {
  expect(printable(text)).toBe(shown);
});
