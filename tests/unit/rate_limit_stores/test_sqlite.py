"""The store in a file: changes are atomic across processes, and the file contains no secrets."""

import itertools
import os
import sqlite3
import stat
import threading
from contextlib import closing as closing_now
from pathlib import Path

import pytest

from electronhub_embeddings import ElectronHubError
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import Pause, SlidingWindow
from electronhub_embeddings._rate_limit.window_state import UnreadableStateError
from electronhub_embeddings.rate_limit_stores import RateLimitStore, open_store
from electronhub_embeddings.rate_limit_stores.memory_fallback import MemoryFallback
from electronhub_embeddings.rate_limit_stores.sqlite import IDLE_TTL, REWRITE_INTERVAL, SQLiteStore
from support.child_processes import TIMEOUT, begin, counting_script, finish, kill, release
from support.window_changes import acquire, complete, count_one, look

HOLD = 60.1
"""Seconds for which a call that was counted holds its slot."""


@pytest.fixture
def path(tmp_path):
    """Return the path of the file."""
    return str(tmp_path / "limits.db")


@pytest.fixture
def store(closing, path):
    """Return a function that opens the file."""

    def make(account="an account", window=None, **options):
        return closing(SQLiteStore(path, account, window, **options))

    return make


def test_it_is_a_store(store):
    """It implements `RateLimitStore`, and polls, because other processes share it."""
    assert isinstance(store(), RateLimitStore)
    assert store().poll is not None


def test_a_path_names_one(closing, tmp_path):
    """A path is opened with a memory fallback, under the account's name."""
    account = Account("https://api.electronhub.ai/v1", Secret("ek-1"))
    opened = closing(open_store(str(tmp_path / "limits.db"), account.name))
    assert isinstance(opened, MemoryFallback)
    opened.update(acquire("a"))
    beside = closing(SQLiteStore(str(tmp_path / "limits.db"), account.name))
    assert list(beside.update(look)[0].slots.in_flight) == ["a"]


def test_making_one_makes_no_file(store, path):
    """Before the first change nothing is opened."""
    store()
    assert not Path(path).exists()


def test_threads_lose_no_change(store):
    """No change is lost if many threads change one store, or two stores of the same file."""
    stores = [store(), store()]

    def work(mine):
        for _ in range(50):
            mine.update(count_one)

    threads = [threading.Thread(target=work, args=(stores[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].update(look)[0].limit == 8 * 50


def test_processes_lose_no_change(store, path):
    """No change is lost if several processes create a file concurrently and change it."""
    children = begin(counting_script(SQLiteStore), path, 100, count=3)
    release(children)
    finish(children)
    assert store().update(look)[0].limit == 3 * 100


def test_a_new_file_is_opened_by_many_at_the_same_moment(closing, tmp_path):
    """A thread that opens the file while another one creates it waits, and does not fail."""
    failures = []

    def work(path, meeting):
        ours = closing(SQLiteStore(path, "an account"))
        meeting.wait(TIMEOUT)
        try:
            ours.update(count_one)
        except sqlite3.Error as error:
            failures.append(error)

    for number in range(20):
        path, meeting = str(tmp_path / f"{number}.db"), threading.Barrier(4)
        threads = [threading.Thread(target=work, args=(path, meeting)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_killed_process_leaves_the_file_usable(store, path, until):
    """SIGKILL during changes loses at most the current one, and leaves no lock."""
    ours = store()
    ours.update(look)
    (child,) = begin(counting_script(SQLiteStore), path, 10**9)
    release([child])
    try:
        until(lambda: (ours.update(look)[0].limit or 0) > 100)
    finally:
        kill(child)
    counted = ours.update(look)[0].limit
    ours.update(count_one)
    assert store().update(look)[0].limit == counted + 1
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_second_store_sees_the_slots_of_the_first(store):
    """A slot acquired through one store is not available through another."""
    one, other = store(window=SlidingWindow(limit=1, probing=False)), store()
    assert one.update(acquire("a")) is None
    assert list(other.update(look)[0].slots.in_flight) == ["a"]
    assert other.update(acquire("b")) is not None


def test_accounts_do_not_touch_each_other(store):
    """Two accounts in one file have separate windows."""
    one, other = store("one"), store("other", SlidingWindow(limit=7))
    one.update(acquire("a"))
    other.update(acquire("b"))
    assert [list(each.update(look)[0].slots.in_flight) for each in (one, other)] == [["a"], ["b"]]
    assert [each.update(look)[0].limit for each in (one, other)] == [None, 7]


def test_a_change_that_raises_changes_nothing(store):
    """An error in a change is raised to the caller, the file is unchanged, and the next change works."""
    ours = store()
    ours.update(count_one)

    def fail(window, now):
        count_one(window, now)
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        ours.update(fail)
    assert store().update(look)[0].limit == 1
    ours.update(count_one)
    assert store().update(look)[0].limit == 2


def test_closed_and_opened_again(store):
    """A closed store reopens its file when it is used; closing twice is not an error."""
    ours = store()
    ours.update(acquire("a"))
    ours.close()
    ours.close()
    assert list(ours.update(look)[0].slots.in_flight) == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_reaches_the_same_window(store):
    """The file is closed before a fork; both processes reopen it, and each sees the changes of the other."""
    ours = store()
    ours.update(count_one)
    pid = os.fork()
    if pid == 0:
        ours.after_fork().update(count_one)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    ours.update(count_one)
    assert ours.update(look)[0].limit == 3


# The file.


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_only_its_owner_may_read_the_file(store, path):
    """The file and SQLite's additional files have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store().update(count_one)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in Path(path).parent.iterdir()}
    assert modes == {"limits.db": 0o600, "limits.db-wal": 0o600, "limits.db-shm": 0o600}


def test_the_file_tells_no_secrets(client, emulator, tmp_path):
    """The file contains neither the key nor the address, open or closed."""
    service = emulator(rpm=100)

    def written():
        return b"".join(file.read_bytes() for file in tmp_path.iterdir())

    with client(service, rate_limit_store=tmp_path / "limits.db") as ours:
        ours.embed_query("a secret text")
        during = written()
    secrets = [service.api_key, service.api_key[3:], service.base_url, "127.0.0.1", "a secret text"]
    assert [secret for secret in secrets if secret.encode() in during + written()] == []
    assert b"probing" in written()  # it was the right file


# The clock.


@pytest.mark.parametrize("boots", [[5.0], [999.9, 0.0], [1000.0, 3.0, 0.0]])
def test_a_clock_started_anew_frees_nothing_early(store, boots):
    """After a reboot, a slot is held at least as long as if no time had passed since the last change."""
    times = [1000.0]
    store(window=SlidingWindow(limit=1), clock=lambda: times[0]).update(acquire("a"))
    store(clock=lambda: times[0]).update(complete("a"))
    for times[0] in boots:
        store(clock=lambda: times[0]).update(look)
    ours, boot = store(clock=lambda: times[0]), times[0]
    assert pytest.approx(HOLD - max(0.0, boots[0] - 1000.0)) == ours.update(lambda window, now: window.delay(now))
    times[0] = boot + HOLD - 0.01
    assert ours.update(acquire("b")) is not None
    times[0] = boot + HOLD + 0.01
    assert ours.update(acquire("b")) is None


def test_a_cooldown_survives_a_clock_started_anew(store):
    """A cooldown, and the `max_duration` of a lost call, also continue on the new clock."""
    times = [1000.0]
    ours = store(clock=lambda: times[0])
    ours.update(acquire("a"))
    ours.update(lambda window, now: window.start_cooldown(now, 180.0))
    before = ours.update(lambda window, now: window.delay(now))
    times[0] = 1.0
    window, _ = store(clock=lambda: times[0]).update(look)
    assert before >= 180.0
    assert pytest.approx(before) == window.delay(1.0)
    assert {"a": (pytest.approx(1.0), pytest.approx(71.0))} == window.slots.in_flight


# A state that cannot be read.


def damage(path):
    """Change one byte of the state in a file."""
    with closing_now(sqlite3.connect(path)) as connection, connection:
        ((state,),) = connection.execute("SELECT state FROM windows").fetchall()
        connection.execute("UPDATE windows SET state = ?", (state[:-1] + bytes([state[-1] ^ 1]),))


def test_a_damaged_state_trips_no_limit_and_is_told(store, path, caplog):
    """A damaged state leads to a wait of one period, with a warning; the next process does not wait longer."""
    times = [1000.0]
    store(window=SlidingWindow(limit=1), clock=lambda: times[0]).update(acquire("a"))
    damage(path)
    pause = store(clock=lambda: times[0]).update(acquire("b"))
    assert pause == Pause(pytest.approx(HOLD), "earlier requests are not known")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    times[0] += HOLD - 1.0
    assert store(clock=lambda: times[0]).update(acquire("b")).seconds == pytest.approx(1.0)
    times[0] += 1.0
    assert store(clock=lambda: times[0]).update(acquire("b")) is None
    assert len(caplog.records) == 1


# Trouble.


def test_a_directory_that_is_missing(tmp_path, closing):
    """The error names the path."""
    with pytest.raises(OSError, match="nowhere"):
        closing(SQLiteStore(str(tmp_path / "nowhere" / "limits.db"), "an account")).update(look)


def test_a_directory_is_no_file(tmp_path, closing):
    """The error names the path if it is a directory."""
    with pytest.raises(OSError, match=tmp_path.name):
        closing(SQLiteStore(str(tmp_path), "an account")).update(look)


def test_a_file_that_is_no_database(store, path):
    """A file that is not a database raises each time, and is left unchanged."""
    text = b"Dear diary, " * 100
    Path(path).write_bytes(text)
    ours = store()
    for _ in range(2):
        with pytest.raises(ElectronHubError, match=r"not a database, and was left as it was"):
            ours.update(look)
    assert Path(path).read_bytes() == text


def test_a_file_that_is_locked_for_long(store, path, monkeypatch):
    """A change waits for another one for the busy timeout, then fails; once the file is free, the next one works."""
    monkeypatch.setattr("electronhub_embeddings.rate_limit_stores.sqlite.BUSY_TIMEOUT", 0.01)
    ours = store()
    ours.update(count_one)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ours.update(count_one)
    other.execute("ROLLBACK")
    other.close()
    ours.update(count_one)
    assert ours.update(look)[0].limit == 2


# Idle accounts, and changes that change nothing.


class Clock:
    """A clock that only the test advances."""

    now = 10_000.0

    def __call__(self):
        """Return the time."""
        return self.now


def accounts(path):
    """List the accounts in the file."""
    with closing_now(sqlite3.connect(path)) as connection:
        return [account for (account,) in connection.execute("SELECT account FROM windows ORDER BY account")]


def test_windows_of_idle_accounts_are_removed(store, path):
    """An hour after its last request, or its cooldown, an account is gone from the file; others stay."""
    clock = Clock()
    store("idle", clock=clock).update(acquire("a"))
    store("locked", clock=clock).update(lambda window, now: window.start_cooldown(now, 2 * IDLE_TTL))
    busy = store("busy", clock=clock)
    for _ in range(5):
        busy.update(look)
        clock.now += IDLE_TTL / 5
    busy.update(look)
    assert accounts(path) == ["busy", "idle", "locked"]
    clock.now += 1.0
    store("another", clock=clock).update(look)
    assert accounts(path) == ["another", "busy", "locked"]
    clock.now += 1.5 * IDLE_TTL
    store("last", clock=clock).update(look)
    assert accounts(path) == ["last", "locked"]
    clock.now += IDLE_TTL
    store("last", clock=clock).update(look)
    assert accounts(path) == ["last"]


def test_a_process_that_runs_for_long_removes_them_too(store, path):
    """Not only a process that starts."""
    clock = Clock()
    busy = store("busy", clock=clock)
    busy.update(look)
    store("idle", clock=clock).update(look)
    for _ in range(20):
        clock.now += IDLE_TTL / 10
        busy.update(look)
    assert accounts(path) == ["busy"]


def test_after_a_reboot_idle_accounts_go_as_well(store, path):
    """The clock has begun anew: an account that nobody uses goes an hour after the next use of the file."""
    clock = Clock()
    clock.now = 1e6
    store("idle", clock=clock).update(look)
    clock.now = 100.0
    store("busy", clock=clock).update(look)
    assert accounts(path) == ["busy", "idle"]
    clock.now += IDLE_TTL + 1.0
    store("busy", clock=clock).update(look)
    assert accounts(path) == ["busy"]


def test_a_wait_writes_nothing(store, path):
    """A process that looks for a free slot ten times a second leaves the file as it is, and stays no idle account."""
    clock = Clock()
    waiting = store(window=SlidingWindow(limit=1, probing=False), clock=clock)
    waiting.update(acquire("a"))
    with closing_now(sqlite3.connect(path)) as other:
        versions = []
        for seconds in (0.1, 0.1, REWRITE_INTERVAL - 0.3, 0.1, 0.1):
            versions.append(other.execute("PRAGMA data_version").fetchone())
            clock.now += seconds
            assert waiting.update(acquire("b")) is not None
        versions.append(other.execute("PRAGMA data_version").fetchone())
    assert [one == other for one, other in itertools.pairwise(versions)] == [True, True, True, False, True]


def test_a_window_that_another_process_has_changed_is_read_again(store):
    """A process relies on what it has read itself only as long as nobody has changed it."""
    one, other = store(), store()
    for number in range(4):
        for each in (one, other):
            each.update(count_one)
            assert each.update(look)[0].limit == 2 * number + (1 if each is one else 2)


def test_an_unreadable_window_can_be_left(store, path):
    """Where it must not be replaced, an error is raised, and nothing is changed."""
    store().update(look)
    with closing_now(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE windows SET state = x'ff00'")
    with pytest.raises(UnreadableStateError, match="version 255"):
        store(replaces_unreadable=False).update(look)
    with closing_now(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT state FROM windows").fetchone() == (b"\xff\x00",)
