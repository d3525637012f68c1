import { describe, expect, test } from '@jest/globals';
import {
  MutableTorrentList,
  OPEN_LIST,
  type TorrentListChange,
  unionOf,
} from '../../../tracker/torrents/torrents.ts';

const A = 'aa'.repeat(20);
const B = 'bb'.repeat(20);

function following(list: { onChange(listener: (change: TorrentListChange) => void): () => void }) {
  const changes: TorrentListChange[] = [];
  list.onChange((change) => changes.push(change));
  return changes;
}

describe('MutableTorrentList', () => {
  test('a torrent stays until its last owner gave it up', () => {
    const list = new MutableTorrentList();
    const changes = following(list);
    list.add('one', { infoHashHex: A, name: 'first' });
    list.add('two', { infoHashHex: A, name: 'second' });
    list.remove('one', A);
    expect(list.get(A)?.name).toBe('second');
    list.remove('one', A);
    list.remove('two', A);
    expect(list.get(A)).toBeUndefined();
    expect([...list.list()]).toEqual([]);
    expect(changes).toEqual([
      { added: [A], removed: [] },
      { added: [], removed: [A] },
    ]);
  });
});

describe('unionOf', () => {
  test('serves what one of them has, and tells a removal only when none has it', async () => {
    const first = new MutableTorrentList();
    const second = new MutableTorrentList();
    const union = unionOf([first, second]);
    const changes = following(union);
    first.add('x', { infoHashHex: A, name: 'first' });
    second.add('x', { infoHashHex: A, name: 'second' });
    second.add('x', { infoHashHex: B });
    expect([...union.list()]).toEqual([{ infoHashHex: A, name: 'first' }, { infoHashHex: B }]);
    first.remove('x', A);
    expect(union.get(A)?.name).toBe('second');
    second.remove('x', A);
    expect(union.get(A)).toBeUndefined();
    expect(changes.flatMap(({ removed }) => removed)).toEqual([A]);
    expect(await union.readMetainfo?.(A)).toBeUndefined();
  });

  test('is read when all of them are', () => {
    const list = new MutableTorrentList();
    const union = unionOf([list, OPEN_LIST]);
    expect(union.isSynced).toBe(false);
    list.isSynced = true;
    expect(union.isSynced).toBe(true);
    expect(union.get(A)).toEqual({ infoHashHex: A });
  });
});
