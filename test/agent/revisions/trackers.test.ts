import { expect, test } from '@jest/globals';
import { Trackers } from '../../../agent/revisions/trackers.ts';

test('a replica whose Pod is another, or was away, began anew; one that is seen first did not', () => {
  const trackers = new Trackers('enxame-system');
  const anew: string[] = [];
  const end = trackers.onAnew((url) => anew.push(url));
  const pods = (...entries: [string, string][]) => trackers.setPods(new Map(entries));
  pods(['enxame-tracker-0', 'x'], ['enxame-tracker-1', '']);
  pods(['enxame-tracker-0', 'x'], ['enxame-tracker-1', 'y']);
  const [first, second] = [0, 1].map((at) => `http://enxame-tracker-${at}.enxame-system.svc:6969/announce`);
  expect(anew.splice(0)).toEqual([second]);
  pods(['enxame-tracker-0', ''], ['enxame-tracker-1', 'y']);
  expect(anew).toEqual([]);
  pods(['enxame-tracker-0', 'x'], ['enxame-tracker-1', 'z']);
  expect(anew.splice(0)).toEqual([first, second]);
  pods(['enxame-tracker-1', 'z']);
  pods(['enxame-tracker-0', 'w'], ['enxame-tracker-1', 'z']);
  expect(anew.splice(0)).toEqual([first]);
  end();
  pods(['enxame-tracker-0', 'v']);
  expect(anew).toEqual([]);
});
