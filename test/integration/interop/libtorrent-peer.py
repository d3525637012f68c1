"""One torrent in libtorrent, as a seed or a leecher: libtorrent-peer.py seed|leech TORRENT FOLDER PORT

Prints "complete" once everything is there, then seeds until it is ended.
"""

import sys
import time

import libtorrent

mode, torrent, folder, port = sys.argv[1:]
session = libtorrent.session(
    {
        "listen_interfaces": f"127.0.0.1:{port}",
        "outgoing_interfaces": "127.0.0.1",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        # All peers of the test have one address.
        "allow_multiple_connections_per_ip": True,
        "min_announce_interval": 1,
        "min_reconnect_time": 1,
    }
)
params = libtorrent.add_torrent_params()
params.ti = libtorrent.torrent_info(torrent)
params.save_path = folder
if mode == "seed":
    params.flags |= libtorrent.torrent_flags.seed_mode
handle = session.add_torrent(params)
while not handle.status().is_seeding:
    time.sleep(0.05)
print("complete", flush=True)
while True:
    time.sleep(60)
