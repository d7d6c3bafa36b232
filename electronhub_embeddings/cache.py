"""Vectors kept on disk: what was paid for once is not sent again, in this run or any later one.

Laws of this module:
- An entry is found by a hash of all that decides a vector; neither a text nor a key is ever in the file.
- What is read is the vector that was written, to the bit: a damaged entry is a miss.
- A cache that cannot be read is an error before anything is sent. One that cannot be written is a warning: the vectors
  are in hand, and a job is worth more than its copy.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import zlib
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from electronhub_embeddings.database import Database
from electronhub_embeddings.errors import CacheError
from electronhub_embeddings.inputs import Recalled
from electronhub_embeddings.rows import FLOAT32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from electronhub_embeddings.inputs import Inputs

logger = logging.getLogger("electronhub_embeddings")

PATIENCE = 30.0
"""Seconds to wait for another's writing, which takes about 0.1 s for a full request."""

FORMAT = 0x45487631
"""SQLite's application id of our files: "EHv1"."""

SCHEMA = "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"

AT_ONCE = 500
"""Keys in one question; SQLite takes 999 in its older builds."""

CHECKSUM = 4
"""Bytes of the CRC-32 of key and vector, which stand at the end of an entry."""


class VectorCache:
    """Finds and keeps vectors in an SQLite file that any number of threads and processes share.

    Args:
        path: The file, not on a network drive; made with permission 0600 when it is first needed.
        namespace: What decides a vector beside its text.
    """

    def __init__(self, path: str | os.PathLike[str], *namespace: str | int | None) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100 - a relative path must mean the same after a chdir
        self._namespace = hashlib.blake2b(msgspec.json.encode(namespace), digest_size=32)
        self._healthy = True
        prepare = partial(_claim, self._path)
        self._reading = Database(self._path, lambda: PATIENCE, prepare)
        self._writing = Database(self._path, lambda: PATIENCE, prepare)  # so that hits do not wait for it

    def recall(self, inputs: Inputs) -> Recalled:
        """Look up the texts of a call.

        Raises:
            CacheError: The file cannot be opened or read, or is no cache.
        """
        keys = [self._key(text) for text in inputs.texts]
        try:
            found = self._read(keys)
        except (sqlite3.Error, OSError) as error:
            raise CacheError(f"The cache {self._path} cannot be read: {error}.") from error
        known = [place for place, key in enumerate(keys) if key in found]
        if not known:
            return Recalled(inputs, None, partial(self._write, keys))
        known_keys = [keys[place] for place in known]
        unknown = [place for place, key in enumerate(keys) if key not in found]
        rows = np.frombuffer(b"".join(map(found.__getitem__, known_keys)), FLOAT32).reshape(len(known), -1)
        ordered = known_keys + [keys[place] for place in unknown]
        return Recalled(inputs.reordered([*known, *unknown]), rows, partial(self._write, ordered))

    def _key(self, text: str) -> bytes:
        digest = self._namespace.copy()
        digest.update(text.encode())
        return digest.digest()

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Find the vectors of keys; those that are damaged, or of another length than the first, are not found."""
        found: dict[bytes, bytes] = {}
        width = None
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            question = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608 - marks
            with self._reading.use() as connection:
                entries = connection.execute(question, some).fetchall()
            for key, entry in entries:
                vector = _checked(key, entry)
                if vector and len(vector) == (width := width or len(vector)):
                    found[key] = vector
        return found

    def _write(self, keys: Sequence[bytes], start: int, stop: int, rows: np.ndarray) -> None:
        """Keep vectors; when this returns they are in the file, whatever happens to this process."""
        entries = [
            (key, vector + _checksum(key, vector))
            for key, vector in zip(keys[start:stop], (row.tobytes() for row in rows), strict=True)
        ]
        try:
            with self._writing.change() as connection:
                connection.executemany("REPLACE INTO vectors VALUES (?, ?)", entries)
        except (sqlite3.Error, OSError, CacheError) as error:
            if self._healthy:
                logger.warning("the cache cannot be written (%s): the vectors are returned all the same", error)
            self._healthy = False
        else:
            self._healthy = True

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._reading.close()
        self._writing.close()


def _claim(path: str, connection: sqlite3.Connection) -> None:
    """Make an empty file a cache, and see to it that no other file is taken for one."""
    if _format(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _format(connection) == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.execute(SCHEMA)
            connection.execute(f"PRAGMA application_id = {FORMAT}")
        connection.execute("COMMIT")
    if _format(connection) != FORMAT:
        raise CacheError(f"{path} is an SQLite file, but no cache.")


def _format(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return number


def _checksum(key: bytes, vector: bytes) -> bytes:
    return zlib.crc32(vector, zlib.crc32(key)).to_bytes(CHECKSUM, "little")


def _checked(key: bytes, entry: object) -> bytes | None:
    """Return the vector of an entry; None: it is damaged."""
    if not isinstance(entry, bytes) or len(entry) % FLOAT32.itemsize:
        return None
    vector = entry[:-CHECKSUM]
    return vector if entry[-CHECKSUM:] == _checksum(key, vector) else None
