import { describe, expect, test } from '@jest/globals';
import { Screen } from '../../../cli/terminal/screen.ts';

function output(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 80, write: (text: string) => written.push(text) };
}

describe('the screen', () => {
  test('draws the line that changes anew, and takes it away before one that stays', () => {
    const out = output(true);
    const screen = new Screen(out, undefined, 'xterm');
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

  test('what a stranger says moves no cursor, on a terminal or not', () => {
    for (const isTTY of [true, false]) {
      const out = output(isTTY);
      new Screen(out, undefined, 'xterm').line('name\u001b[2J');
      expect(out.written).toEqual(['name\ufffd[2J\n']);
    }
  });

  test('a terminal that cannot go back is none', () => {
    const screen = new Screen(output(true), undefined, 'dumb');
    expect(screen.columns).toBeUndefined();
  });

  test('a terminal that does not know its width has 80 columns', () => {
    expect(new Screen({ ...output(true), columns: 0 }, undefined, 'xterm').columns).toBe(80);
  });
});
