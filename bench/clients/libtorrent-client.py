"""One torrent in libtorrent: libtorrent-client.py seed|leech TORRENT FOLDER HOST PORT

Prints "added", "complete" once everything is there, and "sent BYTES" each second; seeds until it is ended.
"""

import sys
import threading
import time

import libtorrent

mode, torrent, folder, host, port = sys.argv[1:]
session = libtorrent.session(
    {
        "listen_interfaces": f"{host}:{port}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        # Eight peers of one host have one address.
        "allow_multiple_connections_per_ip": True,
        "min_announce_interval": 1,
    }
)
params = libtorrent.add_torrent_params()
params.ti = libtorrent.torrent_info(torrent)
params.save_path = folder
if mode == "seed":
    params.flags |= libtorrent.torrent_flags.seed_mode
handle = session.add_torrent(params)
print("added", flush=True)


def tell():
    while True:
        time.sleep(1)
        print(f"sent {handle.status().total_payload_upload}", flush=True)


threading.Thread(target=tell, daemon=True).start()
while not handle.status().is_seeding:
    time.sleep(0.01)
print("complete", flush=True)
while True:
    time.sleep(60)
