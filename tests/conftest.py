"""Shared fixtures: services on loopback, clients that are closed after the test, and a clean environment."""

import gc
import os
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import certifi
import pytest
from hypothesis import HealthCheck, Phase, settings

from electronhub_embeddings import ElectronHubError, EmbeddingsClient
from electronhub_embeddings._scheduling import retry_policy
from electronhub_embeddings._scheduling.drift_guard import DriftGuard
from electronhub_embeddings._workers import drift_check
from electronhub_embeddings.emulator import Emulator, faults
from support.entry_points import ENTRY_POINTS, EntryPoint, in_turn
from support.recording_server import RecordingServer
from support.window_changes import forget_windows

WORKER = "electronhub-worker"
"""The name of all threads of the package."""

TIMEOUT = 30.0
"""Seconds after which a test that waits for something has failed."""

STATE_FOLDER_VARIABLES = ("XDG_STATE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA")
"""What platformdirs reads for the user's state folder: on Linux and macOS, and on Windows."""

settings.register_profile(
    "everyday",
    # In CI, Hypothesis's own profile: the same examples on every run.
    settings.get_profile("ci" if "CI" in os.environ else "default"),
    max_examples=40,  # more than `make mutants` needs to notice every change
    deadline=None,  # on a busy machine, the duration of an example means nothing
)
settings.load_profile("everyday")
settings.register_profile("long", max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile(
    # Few examples, always the same ones: a failure is always caused by the mutant. Nobody reads it, so that a smaller
    # example is not looked for: that would take most of the time.
    "mutants",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def pytest_addoption(parser):
    """Let `--full` run the endurance tests at full length."""
    parser.addoption("--full", action="store_true", help="run the tests in endurance/ at full length")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector away from modules and tests, which stay: each look at all of them takes 0.2 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory):
    """Remove the machine's keys, addresses and proxies from the environment, and all certificates except one.

    Reading all certificates takes 40 ms per client, and few tests use TLS.
    """
    end = "-----END CERTIFICATE-----\n"
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        patch.setattr(certifi, "where", lambda: str(file))  # a client of loopback ignores the variable
        for name in list(os.environ):
            if name.upper().startswith(("ELECTRONHUB_", "OPENAI_")) or name.upper().endswith("_PROXY"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def _state_folders(tmp_path_factory):
    """Create a folder for the state folders of all tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def state_folder(monkeypatch, _state_folders):
    """Give each test, and its child processes, an empty state folder, and return it; nothing is created in it yet."""
    folder = _state_folders / uuid.uuid4().hex
    for name in STATE_FOLDER_VARIABLES:
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_account():
    """Let each test begin without accounts: windows outlive their clients, and many tests have the same key and URL."""
    forget_windows()


@pytest.fixture
def _no_thread_left(until):
    """Fail a test if a worker thread is still running after its clients are closed."""
    before = set(threading.enumerate())
    yield
    until(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.name == WORKER])


@pytest.fixture
def quick_retries(monkeypatch):
    """Make the pause between two attempts almost zero."""
    monkeypatch.setattr(retry_policy, "INITIAL_PAUSE", 0.001)


@pytest.fixture
def without_reference_text(monkeypatch):
    """Send no reference text, for tests that count what is sent or what is in a cache."""
    monkeypatch.setattr(DriftGuard, "is_due", lambda *_: False)


@pytest.fixture
def forget_checks():
    """Return a function that lets the process forget which models it has checked, as a new process has not."""
    return drift_check._guards.clear


@pytest.fixture
def cache_path(tmp_path):
    """Return the path of a cache."""
    return tmp_path / "vectors.db"


@pytest.fixture
def emulator():
    """Return a function that starts a service; each has its own key, and so its own account."""
    started = []

    def start(**options):
        service = Emulator(**{"api_key": f"ek-{uuid.uuid4().hex}", **options})
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.close()


@pytest.fixture
def recording_server():
    """Return a function that starts a server that records requests and sends given answers."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(RecordingServer(*args, **options))


@pytest.fixture
def closing(_no_thread_left, emulator, recording_server):  # noqa: ARG001 - clients are closed before their service is
    """Return a function that registers an object to be closed after the test, and returns the object."""
    kept = []

    def keep(thing):
        kept.append(thing)
        return thing

    yield keep
    for thing in kept:
        thing.close()


@pytest.fixture
def client(closing):
    """Return a function that creates a client of a service."""

    def make(service, **options):
        return closing(EmbeddingsClient(**{"api_key": service.api_key, "base_url": service.base_url, **options}))

    return make


def pytest_generate_tests(metafunc):
    """Run tests that ask for `entry_point`, and do not choose, with all six."""
    chosen = any("entry_point" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "entry_point" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("entry_point", in_turn(metafunc.function.__name__), indirect=True)


@pytest.fixture
def entry_point(request, closing):
    """Return an entry point."""
    return EntryPoint(ENTRY_POINTS[request.param], closing)


@pytest.fixture
def ask():
    """Return a function that embeds one query through a new object of an entry point, and returns the error."""

    def once(entry_point, service, **options):
        with pytest.raises(ElectronHubError) as caught:
            entry_point.query(entry_point.make(service, **options), "one")
        return caught.value

    return once


class Hold:
    """Holds back an answer until it is released."""

    def __init__(self):
        self._released = threading.Event()
        self.texts = [f"held {number}" for number in range(32)]
        """The texts to embed: the emulator builds answers of 32 rows in a thread, and still counts calls."""
        self.fault = faults.edit(self._wait)

    def release(self):
        """Release the answer."""
        self._released.set()

    def _wait(self, answer):
        assert self._released.wait(TIMEOUT)
        return answer


@pytest.fixture
def hold(client):  # noqa: ARG001 - the answer is released before clients are closed
    """Return a fault that holds back one answer, and the texts to embed with it."""
    held = Hold()
    yield held
    held.release()


@pytest.fixture
def until():
    """Return a function that waits until a condition is true, by polling."""

    def wait(condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    return wait


@pytest.fixture
def waiting():
    """Return a function that counts the texts waiting in a client's queue; no public method does."""

    def count(client):
        return sum(
            len(call.inputs)
            for connection in list(client._lifecycle._connections.values())
            for call in connection._workers._loop.scheduler._queues.calls()
            if call.attachment is connection._attachment
        )

    return count


@pytest.fixture
def workers():
    """Return a function that lists the package's threads that were started during the test."""
    before = set(threading.enumerate())
    return lambda: [thread for thread in threading.enumerate() if thread.name == WORKER and thread not in before]
