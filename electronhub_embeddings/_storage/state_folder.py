"""The user's state folder, in which this package keeps what should survive the process."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

APPLICATION = "electronhub-embeddings"
"""The name of this package's folder in the state folder."""

VARIABLE = "ELECTRONHUB_STATE_FOLDER"
"""The environment variable that names another folder for this package.

platformdirs follows variables as well, but older versions do not on Windows and macOS, and `XDG_STATE_HOME` would move
the state of other programs too.
"""


def state_file(name: str) -> Path:
    """Return the path of a file in the user's state folder; creates nothing.

    The name is extended by a hash of the host's name: machines can share a home folder over a network, but neither the
    memory-mapped index of SQLite's WAL mode nor the monotonic clock.

    Raises:
        OSError: The user has no home folder, or `ELECTRONHUB_STATE_FOLDER` is a relative path.
    """
    host = hashlib.blake2b(os.fsencode(socket.gethostname()), digest_size=4).hexdigest()
    return _find_folder() / f"{name}-{host}.sqlite"


def _find_folder() -> Path:
    if named := os.environ.get(VARIABLE):
        folder = Path(named)
        if not folder.is_absolute():
            raise OSError(f"{VARIABLE} must be an absolute path")
        return folder
    from platformdirs import user_state_path  # noqa: PLC0415 - takes up to 50 ms: at the first text, in a worker

    try:
        folder = Path(user_state_path(APPLICATION, appauthor=False))
    except (RuntimeError, KeyError, ValueError) as error:  # no home folder; which one depends on the version
        raise OSError(f"{error}") from error
    if not folder.is_absolute():
        raise OSError("this user has no home folder")
    return folder


def create_folder(path: Path) -> None:
    """Create the folder of a file with permission 0700, if it does not exist.

    Raises:
        OSError: The folder cannot be created.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
