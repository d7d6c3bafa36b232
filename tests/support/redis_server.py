"""A real Redis server for tests."""

import shutil
import socket
import subprocess
import time
from contextlib import suppress

import pytest
import redis

from support.child_processes import TIMEOUT


class Server:
    """A Redis server on loopback without persistence."""

    def __init__(self, directory):
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.raw = redis.Redis.from_url(self.url)
        self._process = None

    def start(self):
        """Start the server and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is missing: `make check` installs it")
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [program, *options, "--dir", str(self._directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + TIMEOUT
        while True:
            with suppress(redis.ConnectionError):
                self.raw.ping()
                return self
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def stop(self):
        """Kill the server; its data is lost."""
        self._process.kill()
        self._process.wait(TIMEOUT)

    def close(self):
        """Kill the server, and close the connections to it."""
        self.raw.close()
        self.stop()

    def commands(self):
        """Count the commands since the last call of this method, including commands inside scripts."""
        counts = {name.removeprefix("cmdstat_"): of["calls"] for name, of in self.raw.info("commandstats").items()}
        self.raw.config_resetstat()
        return {name: calls for name, calls in counts.items() if name not in {"info", "config|resetstat"}}
