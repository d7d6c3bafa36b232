"""What all tests share: services on loopback, clients that are closed, and a world without settings of its own."""

import os
import threading
import time
import uuid
import warnings
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import certifi
import pytest
from faces import KINDS, Face
from hypothesis import HealthCheck, settings
from recorder import Recorder

from electronhub_embeddings import ElectronHubError, EmbeddingsClient
from electronhub_embeddings._scheduling import retry_policy
from electronhub_embeddings.emulator import Emulator, faults

WORKER = "electronhub-worker"
"""The name of the only threads of the package."""

LONGEST = 30.0
"""Seconds after which a test that waits for something has failed."""

if "CI" not in os.environ:  # else Hypothesis has taken a profile for it, which is patient as well
    settings.register_profile("patient", deadline=None)  # how long an example takes says nothing on a busy machine
    settings.load_profile("patient")
settings.register_profile("long", max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile(
    # Few examples, always the same, whatever else the machine does: what fails is the mutant's fault.
    "mutants",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def _core():
    """Return the version of llama-index-core as far as it matters here; None: not installed."""
    try:
        major, minor, *_ = version("llama-index-core").split(".")
    except PackageNotFoundError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oldest cores warn at import about the newest pydantic
        import llama_index.core  # noqa: F401, PLC0415
    return int(major), int(minor)


CORE = _core()

collect_ignore = []
if CORE is None:
    collect_ignore += ["test_llama_index.py", "test_llama_index_whole.py"]
if CORE is None or CORE >= (0, 11):
    collect_ignore.append("service_context")  # the class was taken out of the core in 0.11
if find_spec("langchain_core") is None:
    collect_ignore.append("test_langchain.py")
if find_spec("langchain_tests") is None:
    collect_ignore.append("test_langchain_conformance.py")


def pytest_addoption(parser):
    """Let `--full` run the endurance tests at full length."""
    parser.addoption("--full", action="store_true", help="run the tests in endurance/ at full length")


@pytest.fixture(scope="session")
def _one_certificate(tmp_path_factory):
    """Keep one certificate in a file: few tests use TLS, and reading all of them takes 20 ms for each client."""
    end = "-----END CERTIFICATE-----\n"
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, _one_certificate):
    """Take keys, addresses and proxies of the machine out of the environment."""
    monkeypatch.setenv("SSL_CERT_FILE", str(_one_certificate))
    for name in list(os.environ):
        if name.upper().startswith(("ELECTRONHUB_", "OPENAI_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def _no_thread_left(until):
    """Fail a test after whose clients are closed a thread of theirs still runs."""
    before = set(threading.enumerate())
    yield
    until(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.name == WORKER])


@pytest.fixture
def quick_retries(monkeypatch):
    """Wait next to nothing between two attempts."""
    monkeypatch.setattr(retry_policy, "INITIAL_PAUSE", 0.001)


@pytest.fixture
def emulator():
    """Return a function that starts a service; each has an account of its own, whatever port it is given."""
    started = []

    def start(**options):
        service = Emulator(**{"api_key": f"ek-{uuid.uuid4().hex}", **options})
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.close()


@pytest.fixture
def recorder():
    """Return a function that starts a bare server, which shows all that it is sent, and answers as it is told."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Recorder(*args, **options))


@pytest.fixture
def closing(_no_thread_left, emulator, recorder):  # noqa: ARG001 - clients are closed before their service is
    """Return a function that hands back what it is given, to be closed after the test."""
    kept = []

    def keep(thing):
        kept.append(thing)
        return thing

    yield keep
    for thing in kept:
        thing.close()


@pytest.fixture
def client(closing):
    """Return a function that makes a client of a service."""

    def make(service, **options):
        return closing(EmbeddingsClient(**{"api_key": service.api_key, "base_url": service.base_url, **options}))

    return make


@pytest.fixture(params=KINDS)
def face(request, closing):
    """Return each of the six ways to embed in turn."""
    return Face(KINDS[request.param], closing)


@pytest.fixture
def ask():
    """Return a function that asks one question through a new object of a face, and gives back the error."""

    def once(face, service, **options):
        with pytest.raises(ElectronHubError) as caught:
            face.query(face.make(service, **options), "one")
        return caught.value

    return once


class Hold:
    """Holds an answer back until it is released."""

    def __init__(self):
        self._released = threading.Event()
        self.texts = [f"held {number}" for number in range(32)]
        """What to ask for: the emulator makes answers of 32 rows in a thread, and stays free to count calls."""
        self.fault = faults.edit(self._wait)

    def release(self):
        """Let the answer go."""
        self._released.set()

    def _wait(self, answer):
        assert self._released.wait(LONGEST)
        return answer


@pytest.fixture
def hold(client):  # noqa: ARG001 - it is released before clients are closed
    """Return a fault that holds one answer back, and what to ask for to get it."""
    held = Hold()
    yield held
    held.release()


@pytest.fixture
def until():
    """Return a function that waits until a condition holds, for what has no event to wait for."""

    def wait(condition):
        deadline = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    return wait


@pytest.fixture
def waiting():
    """Return a function that counts the texts of the calls that wait in a client's queue: nothing public tells."""

    def count(client):
        return sum(
            len(call.inputs)
            for connection in list(client._lifecycle._connections.values())
            for call in connection._workers._scheduler._queues.calls()
            if call.attachment is connection._attachment
        )

    return count


@pytest.fixture
def workers():
    """Return a function that lists the threads of the package that were not there before the test."""
    before = set(threading.enumerate())
    return lambda: [thread for thread in threading.enumerate() if thread.name == WORKER and thread not in before]
