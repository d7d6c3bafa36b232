"""The vector cache: vectors are kept on disk, so that no text is paid for twice, in this run or a later one.

Invariants:
- Entries are found by a hash of everything that determines a vector. Neither texts nor keys are in the file.
- A vector is read back bit for bit as written, and is checked as a response is. An entry that is damaged, has the wrong
  length or has a number that is not finite is a miss.
- If the cache cannot be read, an error is raised before anything is sent. If the cache cannot be written, a warning is
  logged and the vectors are returned.
- The vector of the reference text, by which another model is noticed, is an entry like any other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from electronhub_embeddings._codec.distinct_texts import CachedInputs
from electronhub_embeddings._codec.reference_vector import REFERENCE_TEXT
from electronhub_embeddings._codec.vector_decoding import FLOAT32
from electronhub_embeddings._storage.database import Database
from electronhub_embeddings._storage.file_opening import FileFormat, ForeignFileError
from electronhub_embeddings.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from electronhub_embeddings._codec.distinct_texts import TextInputs

logger = logging.getLogger("electronhub_embeddings")

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another connection's write, which takes about 0.1 s for a full batch."""

FORMAT = FileFormat(
    application_id=0x45487631,  # "EHv1"
    schema="CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)",
)
"""The format of cache files."""

MAX_KEYS_PER_QUERY = 500
"""Keys in one SQL query; older builds of SQLite allow 999."""

CHECKSUM_BYTES = 4
"""Length of the CRC-32 of key and vector at the end of an entry."""


class VectorCache:
    """Reads and writes vectors in an SQLite file that any number of threads and processes share.

    Args:
        path: The file, not on a network drive; created with permission 0600 at the first use.
        namespace: Everything but the text that determines a vector.
        dimensions: Length that every vector must have. None: the length of the last vectors from the service, or else
            of the first vector found.
    """

    def __init__(
        self, path: str | os.PathLike[str], *namespace: str | int | None, dimensions: int | None = None
    ) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - a relative path must mean the same after a chdir
        self._namespace = hashlib.blake2b(msgspec.json.encode(namespace), digest_size=32)
        self._dimensions = dimensions
        self._service_length: int | None = None
        """Length of the last vectors from the service."""
        self._is_announced = False
        """Whether a warning was logged that the file cannot be written, and no write has succeeded since."""
        self._is_read_only = False
        self._reading = Database(self.path, lambda: BUSY_TIMEOUT, FORMAT, allow_read_only=True)
        self._writing = Database(self.path, lambda: BUSY_TIMEOUT, FORMAT)  # separate: lookups do not wait for writes

    def recall(self, inputs: TextInputs) -> CachedInputs:
        """Look up the texts of a call.

        Raises:
            CacheError: The file cannot be opened or read, or is not a cache.
        """
        keys = [self._key(text) for text in inputs.texts]
        found = self._read(keys)
        known, rows = self._valid_rows(keys, found)
        if not known:
            return CachedInputs(inputs, None, partial(self._write, keys))
        is_known = set(known)
        order = known + [index for index in range(len(keys)) if index not in is_known]
        return CachedInputs(inputs.reordered(order), rows, partial(self._write, [keys[index] for index in order]))

    @property
    def identity(self) -> tuple[str, bytes]:
        """The file, and a hash of what determines a vector besides its text."""
        return self.path, self._namespace.digest()

    def recall_reference(self) -> np.ndarray | None:
        """Return the vector of the reference text, float32 of shape (d,); None: the cache has none that is valid.

        Raises:
            CacheError: As in `recall`.
        """
        found = self._read([key := self._key(REFERENCE_TEXT)])
        if key not in found:
            return None
        vector = np.frombuffer(found[key], FLOAT32)
        has_length = len(vector) == (self._dimensions or len(vector))
        return vector if has_length and np.isfinite(vector).all() else None

    def keep_reference(self, vector: np.ndarray) -> None:
        """Write the vector of the reference text, of shape (d,)."""
        self._write([self._key(REFERENCE_TEXT)], 0, 1, vector[np.newaxis])

    def stop_writing(self, reason: CacheError) -> None:
        """Write nothing until the cache was closed, because its content cannot be checked."""
        self._announce(reason)
        self._is_read_only = True

    def count_known(self, inputs: TextInputs) -> tuple[int, TextInputs]:
        """Return how many of the texts have a vector, and the inputs with these texts first; raises as `recall`.

        Unlike a lookup, this creates no file.
        """
        if not os.path.exists(self.path):  # noqa: PTH110 - a str
            return 0, inputs
        recalled = self.recall(inputs)
        return 0 if recalled.rows is None else len(recalled.rows), recalled.inputs

    def _valid_rows(self, keys: Sequence[bytes], found: Mapping[bytes, bytes]) -> tuple[list[int], np.ndarray]:
        """Return the positions of the keys with valid vectors, and these vectors, of shape (known, d)."""
        known = [index for index, key in enumerate(keys) if key in found]
        if not known:
            return known, np.empty((0, 0), FLOAT32)
        dimensions = self._dimensions or self._service_length
        size = FLOAT32.itemsize * dimensions if dimensions else len(found[keys[known[0]]])
        known = [index for index in known if len(found[keys[index]]) == size]
        rows = np.frombuffer(b"".join(found[keys[index]] for index in known), FLOAT32)
        rows = np.reshape(rows, (len(known), size // FLOAT32.itemsize))
        good = np.flatnonzero(np.isfinite(rows).all(axis=1))
        return (known, rows) if len(good) == len(known) else ([known[number] for number in good], rows[good])

    def _key(self, text: str) -> bytes:
        digest = self._namespace.copy()
        digest.update(text.encode())
        return digest.digest()

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the vectors found; damaged entries are left out.

        Raises:
            CacheError: The file cannot be opened or read, or is not a cache.
        """
        try:
            return self._select(keys)
        except ForeignFileError as error:
            raise self._foreign(error) from error
        except (sqlite3.Error, OSError) as error:
            raise self._unreadable(error) from error

    def _select(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), MAX_KEYS_PER_QUERY):
            some = keys[start : start + MAX_KEYS_PER_QUERY]
            query = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608 - only "?"
            with self._reading.use() as connection:
                entries = connection.execute(query, some).fetchall()
            if self._reading.read_only_reason is not None:
                self._announce(self._reading.read_only_reason)
            for key, entry in entries:
                if vector := _checked(key, entry):
                    found[key] = vector
        return found

    def _write(self, keys: Sequence[bytes], start: int, stop: int, rows: np.ndarray) -> None:
        """Write vectors; they are in the file when this returns, even if this process ends afterwards."""
        self._service_length = rows.shape[1]
        if self._is_read_only:
            return
        entries = [
            (key, vector + _checksum(key, vector))
            for key, vector in zip(keys[start:stop], (row.tobytes() for row in rows), strict=True)
        ]
        try:
            with self._writing.change() as connection:
                connection.executemany("REPLACE INTO vectors VALUES (?, ?)", entries)
        except ForeignFileError as error:
            self._announce(self._foreign(error))
        except (sqlite3.Error, OSError) as error:
            self._announce(error)
            self._is_read_only = not self._may_be_written()
        else:
            self._is_announced = False

    def _may_be_written(self) -> bool:
        """Return whether permissions allow writing; if not, no write is attempted until the cache was closed."""
        path = Path(self.path).resolve()
        return all(os.access(needed, os.W_OK) for needed in (path, path.parent) if needed.exists())

    def _announce(self, reason: object) -> None:
        if not self._is_announced:
            logger.warning("the cache cannot be written (%s): the vectors are returned all the same", reason)
        self._is_announced = True

    def _unreadable(self, reason: Exception) -> CacheError:
        folder = os.path.dirname(self.path)  # noqa: PTH120 - a str
        if os.path.isdir(folder):  # noqa: PTH112 - a str
            return CacheError(f"The cache {self.path} cannot be read: {reason}.")
        message = f"The cache {self.path} cannot be made: there is no folder {folder}."
        return CacheError(message, next_step="Make the folder, or name a file in another one.")

    def _foreign(self, reason: ForeignFileError) -> CacheError:
        step = "Name another file." if reason.is_database else None  # another program's data is not to be deleted
        message = f"{self.path} cannot be a cache: the file is {reason}, and was left as it was."
        return CacheError(message, next_step=step)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._reading.close()
        self._writing.close()
        self._is_read_only = False


def _checksum(key: bytes, vector: bytes) -> bytes:
    return zlib.crc32(vector, zlib.crc32(key)).to_bytes(CHECKSUM_BYTES, "little")


def _checked(key: bytes, entry: object) -> bytes | None:
    """Return the vector of an entry; None: the entry is damaged."""
    if not isinstance(entry, bytes) or len(entry) % FLOAT32.itemsize:
        return None
    vector = entry[:-CHECKSUM_BYTES]
    return vector if entry[-CHECKSUM_BYTES:] == _checksum(key, vector) else None
