"""Reads and changes cache files behind their backs."""

import contextlib
import sqlite3
import zlib


def contents(path):
    """Read all entries of a cache: key -> vector and checksum."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT key, vector FROM vectors").fetchall())


def overwrite(path, key, vector):
    """Replace a vector in a cache, with a correct checksum."""
    entry = vector + zlib.crc32(vector, zlib.crc32(key)).to_bytes(4, "little")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (entry, key))
        connection.commit()
