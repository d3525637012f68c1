import { expect, test } from '@jest/globals';
import { announceKey, KeyRights, type Rights } from '../../../tracker/rights/rights.ts';
import { UdpTracker } from '../../../tracker/udp/udp-tracker.ts';
import { collectedLog } from '../collected-log.ts';
import { openAnnouncer } from '../open-announcer.ts';
import { seededRandom } from '../seeded-random.ts';
import { announceDatagram, connectDatagram, scrapeDatagram, urlData } from '../udp-datagrams.ts';

const A = 'aa'.repeat(20);
const SECRET = Buffer.from('a secret of more than sixteen bytes');

function trackerWith(rights?: Rights) {
  const { announcer, registry, clock } = openAnnouncer(seededRandom(1), { rights });
  const sent: Buffer[] = [];
  const counts = { dropped: 0, answered: 0 };
  const tracker = new UdpTracker({
    announcer,
    logger: collectedLog(),
    now: () => clock.now,
    answered: () => {
      counts.answered += 1;
    },
    scraped: () => undefined,
    dropped: () => {
      counts.dropped += 1;
    },
  });
  /** Sends a datagram; gives what comes back at once. */
  const ask = (datagram: Buffer, address = '192.0.2.1', port = 1000): Buffer | undefined => {
    sent.length = 0;
    tracker.take(datagram, { address, port }, (answer) => sent.push(answer));
    return sent[0];
  };
  const connect = (address?: string): Buffer =>
    ask(connectDatagram(), address)?.subarray(8) ?? Buffer.alloc(8);
  return { tracker, registry, clock, sent, counts, ask, connect };
}

test('peers learn of each other, and their counts', () => {
  const { ask, connect, registry } = trackerWith();
  ask(announceDatagram(connect('192.0.2.1'), { left: 0n, port: 1 }), '192.0.2.1');
  const answer = ask(announceDatagram(connect('192.0.2.2'), { transaction: 77 }), '192.0.2.2');
  expect(answer?.readUInt32BE(0)).toBe(1);
  expect(answer?.readUInt32BE(4)).toBe(77);
  expect(answer?.readUInt32BE(8)).toBeGreaterThan(0);
  expect([answer?.readUInt32BE(12), answer?.readUInt32BE(16)]).toEqual([1, 1]);
  expect(answer?.subarray(20).toString('hex')).toBe('c00002010001');
  ask(announceDatagram(connect(), { left: 0n, port: 1, event: 3 }));
  expect(registry.counts(A)).toMatchObject({ seeders: 0, leechers: 1 });
});

test('the address in the datagram is not believed', () => {
  const { ask, connect, registry } = trackerWith();
  ask(announceDatagram(connect(), { left: 0n }));
  expect(registry.seeds(A, 1)[0]?.host).toBe('192.0.2.1');
});

test('IPv6 is asked and answered over IPv6', () => {
  const { ask, connect } = trackerWith();
  ask(announceDatagram(connect('2001:db8::1'), { port: 5 }), '2001:db8::1');
  ask(announceDatagram(connect('192.0.2.9'), { port: 6 }), '192.0.2.9');
  const answer = ask(announceDatagram(connect('2001:db8::2')), '2001:db8::2');
  expect(answer?.subarray(20).toString('hex')).toBe('20010db80000000000000000000000010005');
});

test('an id is good for its address alone', () => {
  const { ask, connect, counts } = trackerWith();
  const id = connect('192.0.2.1');
  expect(ask(announceDatagram(id), '192.0.2.2')).toBeUndefined();
  expect(ask(announceDatagram(Buffer.alloc(8)), '192.0.2.1')).toBeUndefined();
  expect(counts.dropped).toBe(2);
  expect(ask(announceDatagram(id), '192.0.2.1', 4444)).toBeDefined();
  expect(trackerWith().connect('192.0.2.1')).not.toEqual(id);
});

test.each([0, 1, 15_000, 29_999, 30_000, 59_999])(
  'an id that is made at %i ms is good for two minutes, and half a minute more at most',
  (made) => {
    const { ask, connect, clock } = trackerWith();
    clock.now = made;
    const id = connect();
    for (const age of [0, 60_000, 90_000, 119_999, 120_000]) {
      clock.now = made + age;
      expect([age, ask(announceDatagram(id)) !== undefined]).toEqual([age, true]);
    }
    clock.now = made + 150_000;
    expect(ask(announceDatagram(id))).toBeUndefined();
  },
);

test('nobody gets more bytes than were sent before the address is proved', () => {
  const { ask } = trackerWith();
  const rubbish = [
    connectDatagram(),
    Buffer.concat([connectDatagram(), Buffer.alloc(1000)]),
    announceDatagram(Buffer.alloc(8)),
    scrapeDatagram(Buffer.alloc(8), [Buffer.alloc(20)]),
    Buffer.alloc(0),
    Buffer.alloc(15),
    Buffer.alloc(16, 255),
    Buffer.alloc(2000, 1),
  ];
  for (const datagram of rubbish) expect(ask(datagram)?.length ?? 0).toBeLessThanOrEqual(datagram.length);
});

test('a scrape counts in the order it asks, at most 74', () => {
  const { ask, connect } = trackerWith();
  const id = connect();
  ask(announceDatagram(id, { left: 0n }));
  const answer = ask(scrapeDatagram(id, [Buffer.alloc(20, 1), Buffer.alloc(20, 0xaa)]));
  expect(answer?.toString('hex')).toBe(`0000000200000003${'00'.repeat(12)}000000010000000000000000`);
  expect(
    ask(
      scrapeDatagram(
        id,
        Array.from({ length: 75 }, () => Buffer.alloc(20)),
      ),
    ),
  ).toBeUndefined();
  expect(ask(scrapeDatagram(id, []))).toBeUndefined();
});

test.each([{ port: 0 }, { event: 4 }])('%p is answered with an error', (changes) => {
  const { ask, connect, registry } = trackerWith();
  const answer = ask(announceDatagram(connect(), changes));
  expect(answer?.readUInt32BE(0)).toBe(3);
  expect(answer?.subarray(8).toString()).toMatch(/must be/);
  expect(registry.peerCount).toBe(0);
});

test.each([
  ['/announce?client=enxame', true],
  ['/?passkey=x&client=enxame', true],
  ['/announce?client=other&client=enxame', true],
  ['/announce?client=enxame&client=other', false],
  ['/announce?x=client=enxame', false],
  ['/client=enxame', false],
  ['', false],
])('a client whose URL data is %p is our own: %p', (url, isOwn) => {
  const { ask, connect } = trackerWith();
  const interval = ask(announceDatagram(connect(), { options: urlData(url) }))?.readUInt32BE(8) ?? 0;
  expect(interval >= 9 && interval <= 11).toBe(isOwn);
  expect(interval >= 300).toBe(!isOwn);
});

test('an answer stays within one packet', () => {
  const { ask, connect } = trackerWith();
  for (let host = 1; host <= 250; host += 1)
    ask(announceDatagram(connect(`192.0.2.${host}`)), `192.0.2.${host}`);
  const answer = ask(announceDatagram(connect('198.51.100.1'), { wanted: 100_000 }), '198.51.100.1');
  expect(answer?.length).toBe(20 + 200 * 6);
});

test('with a secret, the key of the torrent stands in the URL data', () => {
  const { ask, connect, registry } = trackerWith(new KeyRights(SECRET));
  const id = connect();
  const withUrl = (url: string) =>
    ask(
      announceDatagram(id, { options: Buffer.concat([Buffer.from([1]), urlData(url), Buffer.from([0, 9])]) }),
    );
  expect(ask(announceDatagram(id))?.readUInt32BE(0)).toBe(3);
  expect(withUrl('/announce/wrong')?.readUInt32BE(0)).toBe(3);
  expect(withUrl(`/announce/${announceKey(SECRET, 'bb'.repeat(20))}`)?.readUInt32BE(0)).toBe(3);
  expect(registry.peerCount).toBe(0);
  expect(withUrl(`/announce/${announceKey(SECRET, A)}`)?.readUInt32BE(0)).toBe(1);
  expect(withUrl(`/announce/${announceKey(SECRET, A)}?${'x'.repeat(600)}`)?.readUInt32BE(0)).toBe(1);
});
