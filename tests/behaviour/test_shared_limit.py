"""One limit for several processes, end to end: real processes, a real file, and a service that counts."""

import copy
import sqlite3
import time

import numpy as np
import pytest

from electronhub_embeddings import ElectronHubError
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores import sqlite
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from support.child_processes import begin, finish, kill, release
from support.entry_points import expected_vectors, same
from support.window_changes import look

SAFETY_MARGIN = 0.1

WORKER = """
import sys
from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._config.options import Options
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore

path, name, count, period = sys.argv[1:]
store = SQLiteStore(path, Options().account.name, SlidingWindow(period=float(period)))
texts = [f"{name} {number}" for number in range(int(count))]
print("ready", flush=True)
sys.stdin.readline()
with EmbeddingsClient(rate_limit_store=store, batch_size=1, dimensions=8) as client:
    print(client.embed(texts).tobytes().hex())
store.close()
"""
"""Embeds so many texts, a request each, and prints the vectors."""


@pytest.fixture
def path(tmp_path):
    """Return the path of the file."""
    return str(tmp_path / "limits.db")


@pytest.fixture
def worker(path):
    """Return a function that starts a process with a job; the process waits to be released."""
    started = []

    def make(service, name, count, period):
        settings = {"ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
        (child,) = begin(WORKER, path, name, count, period, **settings)
        started.append(child)
        return child

    yield make
    for child in started:
        kill(child)


@pytest.fixture
def beside(closing, path):
    """Return a function that opens a service's window in the file, like another process."""

    def make(service, window=None, **options):
        return closing(SQLiteStore(path, account(service), window, **options))

    return make


def account(service):
    """Return the name of a service's account in a store."""
    return Account(service.base_url, Secret(service.api_key)).name


def done(service, written, name, count):
    """Return whether a process has printed the right vectors for its texts."""
    rows = np.frombuffer(bytes.fromhex(written), np.float32).reshape(count, 8)
    return same(rows, expected_vectors(service, [f"{name} {number}" for number in range(count)], 8))


def statuses(service):
    """Return the set of what was answered."""
    return {call.status for call in service.calls}


# Several processes.


def test_four_processes_share_a_limit(worker, emulator):
    """Together, the processes never exceed the limit, complete all jobs, and use the whole limit."""
    limit, period, count = 20, 1.5, 20
    service = emulator(rpm=limit, window=period)
    children = [worker(service, f"job {number}", count, period) for number in range(4)]
    release(children)
    written = finish(children)
    assert [done(service, rows, f"job {number}", count) for number, rows in enumerate(written)] == [True] * 4
    assert (statuses(service), len(service.calls)) == ({200}, 4 * count)
    # The first call of the fourth window comes three holds after that of the first one, so 80 calls are all that the
    # time allows. A margin of 0.1 s is much in a window of 1.5 s, little in one of 60 s: it is part of the hold here.
    # Asked for are 70 %, not 100 %: a busy machine may lose two seconds of the five to processes that do not run.
    elapsed = service.calls[-1].at - service.calls[0].at
    allowed = limit * (elapsed / (period + SAFETY_MARGIN) + 1)
    assert len(service.calls) >= 0.7 * allowed


@pytest.mark.slow
def test_a_killed_process_leaves_the_others_right(worker, emulator, client, beside, until):
    """After SIGKILL with a request in flight, other processes neither exceed the limit nor wait too long for slots."""
    limit, period, count = 20, 1.0, 10
    service = emulator(rpm=limit, window=period, faults=[None, faults.delay(60.0)])
    client(service, rate_limit_store=beside(service, SlidingWindow(period=period))).embed_query("before")
    victim = worker(service, "victim", 1000, period)
    others = [worker(service, f"job {number}", count, period) for number in range(3)]
    release([victim])
    until(lambda: len(service.calls) >= 2)  # its first request is under way, and stays so
    release(others)
    until(lambda: len(service.calls) >= 6)
    kill(victim)
    written = finish(others)
    assert [done(service, rows, f"job {number}", count) for number, rows in enumerate(written)] == [True] * 3
    assert statuses(service) == {200}
    left = beside(service).update(look)[0].slots.in_flight
    assert 1 <= len(left) < limit
    end = max(end for _, end in left.values())
    assert end == pytest.approx(time.monotonic() + client(service)._options.request_config.max_duration, abs=20)

    def free(now):
        """Count the slots that can be acquired at a given time."""

        def take(window, _):
            copied = copy.deepcopy(window)
            return sum(copied.acquire(now, str(number), max_duration=70.0) is None for number in range(limit))

        return beside(service).update(take)

    assert free(end - 0.01) < limit
    assert free(end + period) < limit  # the service may have counted its call as late as that
    assert free(end + period + SAFETY_MARGIN + 0.01) == limit


@pytest.mark.slow  # test_default_store.py has the same every day, with the file that nobody names
def test_a_script_started_again_knows_what_it_has_sent(worker, emulator):
    """A second run within the window waits for the slots of the first one."""
    service = emulator(rpm=5, window=2.0)
    for number in range(2):
        child = worker(service, f"run {number}", 4, 2.0)
        release([child])
        (written,) = finish([child])
        assert done(service, written, f"run {number}", 4)
    assert (statuses(service), len(service.calls)) == ({200}, 8)


def test_a_script_started_again_is_told_how_long_to_wait(worker, emulator, client, path):
    """If the window is full, a call with a short `max_wait` in another process sends nothing."""
    service = emulator(rpm=3)
    child = worker(service, "before", 3, 60.0)
    release([child])
    finish([child])
    with pytest.raises(ElectronHubError) as caught:
        client(service, rate_limit_store=path, max_wait=1).embed_query("one")
    assert caught.value.retry_after == pytest.approx(60, abs=20)
    assert len(service.calls) == 3


# By its path.


def test_a_path_shares_the_limit_of_every_face(entry_point, emulator, beside, path):
    """In every framework, a path keeps the window in the file, and the file's limit is respected."""
    service = emulator(rpm=2)
    model = entry_point.make(service, rate_limit_store=path, max_wait=0, dimensions=8)
    assert same(entry_point.query(model, "one"), service.vector("one", dimensions=8))
    window, _ = beside(service).update(look)
    assert (window.limit, len(window.slots.held), window.slots.in_flight) == (2, 1, {})
    assert beside(service).update(lambda window, now: window.acquire(now, "elsewhere", max_duration=70.0)) is None
    with pytest.raises(ElectronHubError, match="max_wait"):
        entry_point.query(model, "two")
    assert len(service.calls) == 1


def test_a_wrong_path_is_told_at_the_first_call(entry_point, emulator, tmp_path):
    """A path that cannot be opened always raises an error that names it, and nothing is sent."""
    service = emulator(rpm=5)
    model = entry_point.make(service, rate_limit_store=str(tmp_path / "nowhere" / "limits.db"))
    for _ in range(2):
        with pytest.raises(ElectronHubError, match=r"rate limit store failed.*nowhere"):
            entry_point.query(model, "one")
    assert service.calls == []


def test_a_file_that_is_no_database(client, emulator, tmp_path):
    """Another program's file is rejected with the reason, and nothing is sent."""
    service = emulator(rpm=5)
    (tmp_path / "notes.txt").write_text("Dear diary, " * 100, encoding="utf-8")
    with pytest.raises(ElectronHubError, match=r"rate limit store failed.*not a database"):
        client(service, rate_limit_store=tmp_path / "notes.txt").embed_query("one")
    assert service.calls == []


def test_a_store_that_fails_in_the_middle_of_a_job(client, emulator, path, monkeypatch, caplog):
    """The job is finished within the limit, with one warning."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def lock(answer):
        other.execute("BEGIN EXCLUSIVE")  # as somebody who looks into the file with a tool, and leaves it open
        return answer

    service = emulator(rpm=8, faults=[None, None, faults.edit(lock)])
    texts = [f"text {number}" for number in range(8)]
    rows = client(service, rate_limit_store=path, batch_size=1, dimensions=8).embed(texts)
    assert same(rows, expected_vectors(service, texts, 8))
    assert [call.status for call in service.calls] == [200] * 8
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [(warning[:27], "locked" in warning) for warning in warnings] == [("the rate limit store failed", True)]
    other.close()
