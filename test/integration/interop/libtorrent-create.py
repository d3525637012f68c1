"""Makes a version 1 torrent with libtorrent: libtorrent-create.py TORRENT PATH PIECE_LENGTH TRACKER

The files are in byte order of their paths, which is one of the choices that an info hash depends on.
"""

import os
import sys

import libtorrent

torrent, path, piece_length, tracker = sys.argv[1:]
name = os.path.basename(path)
files = libtorrent.file_storage()
if os.path.isfile(path):
    files.add_file(name, os.path.getsize(path))
else:
    found = []
    for folder, _, names in os.walk(path):
        for each in names:
            location = os.path.join(folder, each)
            found.append((os.path.relpath(location, path), os.path.getsize(location)))
    for each, size in sorted(found, key=lambda file: os.fsencode(file[0])):
        files.add_file(os.path.join(name, each), size)
made = libtorrent.create_torrent(files, int(piece_length), libtorrent.create_torrent.v1_only)
libtorrent.set_piece_hashes(made, os.path.dirname(path))
made.add_tracker(tracker)
with open(torrent, "wb") as file:
    file.write(libtorrent.bencode(made.generate()))
