import { describe, expect, test } from '@jest/globals';
import { Screen } from '../../cli/screen.ts';

function output(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 80, write: (text: string) => written.push(text) };
}

describe('the screen', () => {
  test('draws the line that changes anew, and takes it away before one that stays', () => {
    const out = output(true);
    const screen = new Screen(out);
    screen.status('10%');
    screen.status('20%');
    screen.line('done');
    expect(out.written.join('')).toBe('\r\u001b[K10%\r\u001b[K20%\r\u001b[Kdone\n');
  });

  test('without a terminal prints a line every 10 s and no control characters', () => {
    const out = output(false);
    let now = 0;
    const screen = new Screen(out, () => now);
    for (; now < 25_000; now += 1000) screen.status(`${now}`);
    screen.line('done');
    expect(out.written).toEqual(['10000\n', '20000\n', 'done\n']);
  });
});
