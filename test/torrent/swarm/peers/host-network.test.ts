// Which addresses are one host.
import { describe, expect, test } from '@jest/globals';
import { hostNetwork } from '../../../../torrent/swarm/peers/host-network.ts';

describe('the network of a host', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['seed.example', 'seed.example'],
    ['not:an:address', 'not:an:address'],
  ])('%s is %s', (host, network) => {
    expect(hostNetwork(host)).toBe(network);
  });
});
