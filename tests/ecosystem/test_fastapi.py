"""The example of a web server: a real process with uvicorn, told to stop by SIGTERM, and a service that counts."""

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.docs_pages import blocks
from support.repository import ROOT

EXAMPLES = ROOT / "examples"

GRACE = 5.0
"""Seconds after SIGTERM within which the server must be gone."""

FULL = 2048
"""Texts in a full request."""

TIMEOUT = 60.0
"""Seconds for a start and for an answer on a busy machine."""

RUNNING = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")


class Server:
    """The example in a process of its own, on a free port.

    Args:
        folder: Where it is started: its cache is there.
        environment: Added to that of the test.
    """

    def __init__(self, folder, **environment):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]), **environment}
        command = [sys.executable, "-c", "import fastapi_server; fastapi_server.main(port=0)"]
        self.output = []
        self._process = subprocess.Popen(
            command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._started.wait(TIMEOUT), self.output
        (address,) = [match[1] for line in self.output if (match := RUNNING.search(line))]
        self.http = httpx.Client(base_url=address, timeout=TIMEOUT)

    def _read(self):
        for line in self._process.stdout:
            self.output.append(line)
            if RUNNING.search(line):
                self._started.set()
        self._started.set()

    def search(self, question):
        """Search for a question."""
        return self.http.get("/search", params={"q": question})

    def add(self, texts):
        """Post documents; return the progress."""
        answer = self.http.post("/documents", json=texts)
        assert answer.status_code == 202
        return answer.json()

    def progress(self):
        """Return how many documents are stored, waiting and failed."""
        return tuple(self.http.get("/documents").json()[name] for name in ("stored", "waiting", "failed"))

    def stop(self):
        """Send SIGTERM; the process must be gone in time. Return its output, without uvicorn's own lines."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(GRACE)
        self._reader.join(TIMEOUT)
        assert status in {0, -signal.SIGTERM}, self.output  # older versions of uvicorn end with 0
        return [line for line in self.output if not line.startswith("INFO:")]

    def close(self):
        """Kill the process, if it is still running."""
        self._process.kill()
        self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        self._process.stdout.close()
        if hasattr(self, "http"):
            self.http.close()


@pytest.fixture
def serve(tmp_path, hold):  # noqa: ARG001 - a held answer is released when the server is gone
    """Return a function that starts the server, for a service or for the emulator that it starts itself."""
    started = []

    def start(service=None, **environment):
        if service is not None:
            environment |= {"ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
        server = Server.__new__(Server)
        started.append(server)
        server.__init__(tmp_path, **environment)
        return server

    yield start
    for server in started:
        server.close()


CLOSED = "The client was closed. Use a new client, or reopen() this one; .partial has what was finished."


def documents(requests):
    """Return as many texts as fill this number of requests."""
    return [f"document {number}" for number in range(requests * FULL)]


def sent(service):
    """List the texts of each request."""
    return [call.body["input"] for call in service.calls]


def test_search(serve, emulator, until):
    """The best document comes first; the progress is right, and an empty text is refused by the server itself."""
    service = emulator(rpm=60)
    server = serve(service)
    assert server.add(["Paris is in France.", "Rust has no garbage collector."])["failed"] == 0
    until(lambda: server.progress() == (2, 0, 0))
    answer = server.search("Is there a garbage collector in Rust?")
    assert (answer.status_code, answer.json()[0]) == (200, "Rust has no garbage collector.")
    assert server.search("").status_code == 422
    assert server.http.post("/documents", json=["one", ""]).status_code == 422
    assert [call.texts for call in service.calls] == [3, 1]  # with the sentence by which another model is noticed
    assert server.stop() == []


def test_503(serve, emulator, until):
    """When the limit is used up for longer than a search waits, the answer says at once when to come back."""
    service = emulator(rpm=1)
    server = serve(service)
    server.add(["one"])
    until(lambda: server.progress() == (1, 0, 0))
    answer = server.search("two")
    assert answer.status_code == 503
    assert 13 < int(answer.headers["Retry-After"]) <= 61
    assert server.search("one").json() == ["one"]  # from the cache: it needs no request
    assert len(service.calls) == 1


def test_sigterm_while_an_ingestion_waits(serve, emulator, until, tmp_path):
    """The server is gone in time, and the next one sends only what the first one has not."""
    # Room for the sentence by which another model is noticed: it travels again if the first answer is not yet read.
    service, texts = emulator(rpm=2), documents(3)[:-3]
    server = serve(service)
    server.add(texts)
    until(lambda: server.progress() == (FULL, 2 * FULL - 3, 0) and len(service.calls) == 2)
    assert server.search("document 1").json()[0] == "document 1"
    lines = [line for line in server.stop() if not line.startswith("rate limit: next request in ")]
    first = sent(service)
    second = set(texts[FULL : 2 * FULL])
    embedded = sum(text in second for batch in first for text in batch)
    assert sorted(lines) == [
        f"{FULL - 3} documents failed, 0 of them embedded: {CLOSED}\n",
        f"{FULL} documents failed, {embedded} of them embedded: {CLOSED}\n",
    ]
    assert [len(batch) for batch in first] == [FULL, FULL]
    service.reset()
    server = serve(service, XDG_STATE_HOME=str(tmp_path / "state"))  # else it knows that the limit is used up
    server.add(texts)
    until(lambda: server.progress() == (len(texts), 0, 0))
    server.stop()
    # What is left of the second task may leave before the third one is looked up.
    rest = [text for batch in sent(service) for text in batch if text != first[0][-1]]
    assert sorted(rest) == sorted({*texts} - {text for batch in first for text in batch})


def test_sigterm_while_a_search_waits(serve, emulator, until):
    """A search that would have been answered later does not keep the server, and is told to ask the next one."""
    service = emulator(rpm=1, window=12.0)  # shorter than `MAX_WAIT`
    server = serve(service)
    server.add(["one"])
    until(lambda: server.progress() == (1, 0, 0))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.search, "two")
        until(lambda: any(line.startswith("rate limit: next request in ") for line in server.output))
        server.stop()
        assert (answer.result().status_code, answer.result().headers["Retry-After"]) == (503, "2")
    assert len(service.calls) == 1


def test_sigterm_while_a_request_is_on_the_wire(serve, emulator, hold, until):
    """Neither does an answer that does not come."""
    service = emulator(rpm=0, faults=[hold.fault])
    server = serve(service)
    server.add(hold.texts)
    until(lambda: len(service.calls) == 1)
    server.stop()


def test_without_a_key(serve, until):
    """The example starts an emulator, and says so."""
    server = serve()
    server.add(["one"])
    until(lambda: server.progress() == (1, 0, 0))
    assert server.search("one").json() == ["one"]
    assert any("emulator of the free plan" in line for line in server.stop())


PAGE = {place: code for place, code in blocks(tests=False).items() if place.startswith("web-servers.md:")}


@pytest.mark.parametrize("place", PAGE)
def test_the_page(place, emulator, monkeypatch, tmp_path):
    """The code of the page runs: FastAPI is installed in this environment, and not in that of the other pages."""
    service = emulator(plan="pro")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    exec(compile(PAGE[place], place, "exec"), {"__name__": "page"})  # noqa: S102 - our own text
    assert service.calls != []
