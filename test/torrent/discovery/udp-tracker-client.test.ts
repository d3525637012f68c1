import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AnnounceRequest } from '../../../torrent/discovery/tracker-client.ts';
import { UdpTrackerClient } from '../../../torrent/discovery/udp-tracker-client.ts';
import { until } from '../../base/until.ts';
import { rejectionOf } from '../failure.ts';

const never = new AbortController().signal;
const INFO_HASH = Buffer.alloc(20, 0xab);
const PEER_ID = Buffer.from('-EX0100-123456789012');
const CONNECTION_ID = Buffer.from('0123456789abcdef', 'hex');

type Handler = (datagram: Buffer, from: RemoteInfo, answer: (...bytes: Uint8Array[]) => void) => void;

let socket: Socket;
let url: string;
let received: Buffer[];
let handle: Handler;

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const actionOf = (datagram: Buffer) => datagram.readUInt32BE(8);
const transactionOf = (datagram: Buffer) => datagram.subarray(12, 16);

/** A tracker that knows two peers. */
const wellBehaved: Handler = (datagram, _, answer) => {
  if (actionOf(datagram) === 0) answer(uint32(0), transactionOf(datagram), CONNECTION_ID);
  else {
    const peers = Buffer.from([10, 0, 0, 1, 26, 225, 10, 0, 0, 2, 0, 80]);
    answer(uint32(1), transactionOf(datagram), uint32(900), uint32(3), uint32(4), peers);
  }
};

beforeEach(async () => {
  received = [];
  handle = wellBehaved;
  socket = createSocket('udp4');
  socket.on('message', (datagram, from) => {
    received.push(datagram);
    handle(datagram, from, (...bytes) => socket.send(Buffer.concat(bytes), from.port, from.address));
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  url = `udp://127.0.0.1:${socket.address().port}/announce?passkey=x`;
});

afterEach(() => {
  socket.close();
});

function announce(more: Partial<AnnounceRequest> = {}, signal = never, resendMilliseconds = 50) {
  const client = new UdpTrackerClient({ timeoutMilliseconds: 2_000, resendMilliseconds });
  const request: AnnounceRequest = {
    url,
    infoHash: INFO_HASH,
    peerId: PEER_ID,
    port: 6881,
    totals: { uploaded: 1, downloaded: 2 ** 33, left: 3 },
    event: 'started',
    numwant: 80,
    key: 'deadbeef',
    ...more,
  };
  return client.announce(request, signal);
}

describe('an announce over UDP', () => {
  test('says what it has to, and reads the answer', async () => {
    expect(await announce()).toEqual({
      kind: 'reply',
      intervalSeconds: 900,
      minIntervalSeconds: 60,
      leechers: 3,
      seeders: 4,
      peers: [
        { host: '10.0.0.1', port: 6881 },
        { host: '10.0.0.2', port: 80 },
      ],
    });
    const [hello, told] = received as [Buffer, Buffer];
    expect(hello).toHaveLength(16);
    expect(hello.readBigUInt64BE(0)).toBe(0x41727101980n);
    expect(told.subarray(0, 8)).toEqual(CONNECTION_ID);
    expect(told.subarray(16, 36)).toEqual(INFO_HASH);
    expect(told.subarray(36, 56)).toEqual(PEER_ID);
    expect([56, 64, 72].map((at) => told.readBigUInt64BE(at))).toEqual([2n ** 33n, 3n, 1n]);
    expect(told.readUInt32BE(80)).toBe(2);
    expect(told.readUInt32BE(88)).toBe(0xdeadbeef);
    expect([told.readInt32BE(92), told.readUInt16BE(96)]).toEqual([80, 6881]);
    // BEP 41: the rest of the URL, and the word by which our own trackers know us.
    const rest = '/announce?passkey=x&client=enxame';
    expect(told.subarray(98)).toEqual(Buffer.concat([Buffer.from([2, rest.length]), Buffer.from(rest)]));
  });

  test('leaves from the address that it is told', async () => {
    const from = new Set<string>();
    handle = (datagram, remote, answer) => {
      from.add(remote.address);
      wellBehaved(datagram, remote, answer);
    };
    expect((await announce({ localAddress: '127.0.0.2' })).kind).toBe('reply');
    expect([...from]).toEqual(['127.0.0.2']);
    const named = await announce({ url: url.replace('127.0.0.1', 'localhost'), localAddress: '127.0.0.3' });
    expect(named.kind).toBe('reply');
    expect([...from]).toEqual(['127.0.0.2', '127.0.0.3']);
  });

  test('cannot leave from an address that is not ours, or of another family', async () => {
    for (const localAddress of ['192.0.2.1', '::1']) {
      const failure = await rejectionOf(announce({ localAddress }));
      expect(failure.code).toBe('TrackerUnreachable');
      expect(failure.message).toContain(`gives no answer to ${localAddress}: `);
    }
  });

  test('asks for / where the URL has no path, and leaves out what is too long for a datagram', async () => {
    const optionsFor = async (rest: string) => {
      received = [];
      await announce({ url: `udp://127.0.0.1:${socket.address().port}${rest}` });
      return received[1]?.subarray(98) ?? Buffer.alloc(0);
    };
    expect((await optionsFor('')).subarray(2).toString()).toBe('/?client=enxame');
    const long = `/${'x'.repeat(990)}`;
    const parts = await optionsFor(long);
    expect(parts.toString('latin1').replace(/[^/x]/g, '')).toBe(long);
    expect(parts).toHaveLength(991 + 4 * 2);
    expect(await optionsFor(`/${'x'.repeat(1000)}`)).toHaveLength(0);
  });

  test('is sent again where a datagram is lost', async () => {
    const lost = new Set<number>();
    handle = (datagram, from, answer) => {
      const action = actionOf(datagram);
      if (lost.has(action)) wellBehaved(datagram, from, answer);
      lost.add(action);
    };
    expect((await announce()).kind).toBe('reply');
  });

  test('a refusal is told in the words of the tracker', async () => {
    handle = (datagram, _, answer) => answer(uint32(3), transactionOf(datagram), Buffer.from('go\u001baway'));
    expect(await announce()).toEqual({ kind: 'refusal', reason: 'go away' });
  });

  test('answers to other questions, and cut ones, change nothing', async () => {
    handle = (datagram, from, answer) => {
      answer(uint32(0), Buffer.from('else'), CONNECTION_ID);
      answer(uint32(actionOf(datagram)), transactionOf(datagram));
      answer(Buffer.from([1, 2, 3]));
      answer(uint32(7), transactionOf(datagram), Buffer.alloc(100));
      wellBehaved(datagram, from, answer);
    };
    expect((await announce()).kind).toBe('reply');
  });

  test('a list of peers that is cut is read as far as it goes', async () => {
    const peers = Buffer.from([10, 0, 0, 1, 0x1a, 0xe1, 10]);
    handle = (datagram, from, answer) =>
      actionOf(datagram) === 0
        ? wellBehaved(datagram, from, answer)
        : answer(uint32(1), transactionOf(datagram), uint32(9), uint32(0), uint32(0), peers);
    expect(await announce()).toMatchObject({
      peers: [{ host: '10.0.0.1', port: 6881 }],
      leftOut: expect.stringContaining('7 bytes'),
    });
  });

  test('ends in its time where nobody answers, without what may be a key', async () => {
    handle = () => {};
    const client = new UdpTrackerClient({ timeoutMilliseconds: 100 });
    const totals = { uploaded: 0, downloaded: 0, left: 0 };
    const request = { url, infoHash: INFO_HASH, peerId: PEER_ID, port: 1, totals, numwant: 0, key: '1' };
    const error = await rejectionOf(client.announce(request, never));
    expect(error).toMatchObject({ code: 'TrackerUnreachable' });
    expect(String(error)).toContain('the time is over');
    expect(String(error)).not.toContain('passkey');
  });

  test('ends when it is given up', async () => {
    const controller = new AbortController();
    handle = () => controller.abort();
    expect(await rejectionOf(announce({}, controller.signal))).toMatchObject({ code: 'TrackerUnreachable' });
  });

  test.each(['udp://127.0.0.1', 'http://127.0.0.1:1/', 'x'])('%s is no UDP tracker', async (wrong) => {
    expect(await rejectionOf(announce({ url: wrong }))).toMatchObject({ code: 'TrackerUnreachable' });
  });
});

describe('an address that cannot be used', () => {
  const request: AnnounceRequest = {
    url: '',
    infoHash: INFO_HASH,
    peerId: PEER_ID,
    port: 1,
    totals: { uploaded: 0, downloaded: 0, left: 0 },
    numwant: 0,
    key: '1',
  };
  const held = () =>
    process
      .getActiveResourcesInfo()
      .filter((resource) => resource === 'Timeout' || resource === 'UDPWRAP')
      .sort();

  test.each([
    'udp://255.255.255.255:6969/announce?passkey=x',
    'udp://240.0.0.1:1',
    'udp://0.0.0.1:1',
    'udp://224.0.0.1:1',
    'udp://127.0.0.1:1',
    'udp://127.0.0.1:0',
    'udp://1:1',
    'udp://[2001:db8::1]:1',
    'udp://[fe80::1]:1',
    'udp://[ff02::1]:1',
    'udp://[::ffff:255.255.255.255]:1',
    'udp://%00:1',
    `udp://${'x'.repeat(300)}:1`,
  ])('%s is a failure of that tracker, and leaves no timer and no socket', async (unusable) => {
    const before = held();
    const client = new UdpTrackerClient({ timeoutMilliseconds: 200, resendMilliseconds: 10 });
    const error = await rejectionOf(client.announce({ ...request, url: unusable }, never));
    expect(error).toMatchObject({ code: 'TrackerUnreachable' });
    expect(String(error)).not.toContain('passkey');
    // An error that nobody expected, for instance one that is thrown by Node itself.
    expect(String(error)).not.toContain('Received');
    await until('nothing is held any more', () => held().join() === before.join());
  });

  test('is no answer where the system says so, and no defect', async () => {
    const client = new UdpTrackerClient({ timeoutMilliseconds: 2_000, resendMilliseconds: 10 });
    const error = await rejectionOf(client.announce({ ...request, url: 'udp://255.255.255.255:1' }, never));
    expect(String(error)).toContain('connect EACCES');
  });

  test('is passed over where the name has another one', async () => {
    const lookup = () =>
      Promise.resolve([
        { address: '255.255.255.255', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    const client = new UdpTrackerClient({ timeoutMilliseconds: 2_000, lookup });
    const named = url.replace('127.0.0.1', 'tracker.example');
    expect((await client.announce({ ...request, url: named }, never)).kind).toBe('reply');
  });

  test('a name without addresses, and one that never resolves, end in time', async () => {
    const named = { ...request, url: 'udp://tracker.example:1' };
    const none = new UdpTrackerClient({ timeoutMilliseconds: 2_000, lookup: () => Promise.resolve([]) });
    expect(String(await rejectionOf(none.announce(named, never)))).toContain('no address');
    const mute = new UdpTrackerClient({ timeoutMilliseconds: 50, lookup: () => new Promise(() => {}) });
    expect(String(await rejectionOf(mute.announce(named, never)))).toContain('the time is over');
    const given = new AbortController();
    const patient = new UdpTrackerClient({ lookup: () => new Promise(() => given.abort()) });
    expect(await rejectionOf(patient.announce(named, given.signal))).toMatchObject({
      code: 'TrackerUnreachable',
    });
  });
});
