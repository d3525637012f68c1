"""One torrent in libtorrent, as a seed or a leecher.

    libtorrent-peer.py seed|leech SOURCE FOLDER HOST PORT UP [PEER_HOST:PEER_PORT...]

SOURCE is a .torrent file or a magnet link, UP the most bytes a second that it sends (0: no limit). Prints
"complete" once everything is there, then seeds until it is ended. A download that was ended goes on where it was:
what lies in the folder is checked.
"""

import sys
import time

import libtorrent

mode, source, folder, host, port, up, *peers = sys.argv[1:]
session = libtorrent.session(
    {
        "listen_interfaces": f"{host}:{port}",
        "outgoing_interfaces": host,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "upload_rate_limit": int(up),
        "min_announce_interval": 1,
        "min_reconnect_time": 1,
    }
)
if source.startswith("magnet:"):
    params = libtorrent.parse_magnet_uri(source)
else:
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(source)
params.save_path = folder
if mode == "seed":
    params.flags |= libtorrent.torrent_flags.seed_mode
handle = session.add_torrent(params)
# Loopback counts as a local network, which is not limited by default.
handle.set_upload_limit(int(up) if int(up) > 0 else -1)
for peer in peers:
    peer_host, peer_port = peer.split(":")
    handle.connect_peer((peer_host, int(peer_port)))
while not handle.status().is_seeding:
    time.sleep(0.05)
print("complete", flush=True)
while True:
    time.sleep(60)
