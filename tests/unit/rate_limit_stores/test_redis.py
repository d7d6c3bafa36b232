"""The store in Redis, against a real server: atomic changes, one round trip each, and one clock."""

import sys
import time
from types import SimpleNamespace

import pytest
import redis

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import decode
from electronhub_embeddings.rate_limit_stores import RateLimitStore, open_store
from electronhub_embeddings.rate_limit_stores import redis as module
from electronhub_embeddings.rate_limit_stores.memory_fallback import MemoryFallback
from electronhub_embeddings.rate_limit_stores.redis import KEY_TTL, MAX_CLOCK_CORRECTION, RedisStore
from support.child_processes import TIMEOUT, begin, counting_script, finish, release
from support.redis_server import Server
from support.window_changes import acquire, complete, count_one, look

pytestmark = pytest.mark.needs_redis


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """Return a server for all tests."""
    server = Server(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.close()


@pytest.fixture
def server(running):
    """Return the server, empty."""
    running.raw.flushall()
    return running


@pytest.fixture
def store(closing, server):
    """Return a function that opens a store of the server."""

    def make(account="an account", window=None):
        return closing(RedisStore(server.url, account, window))

    return make


@pytest.fixture
def machine(monkeypatch):
    """Return a simulated machine, whose monotonic clock can be set."""
    fake = SimpleNamespace(ahead=0.0)
    fake.monotonic = lambda: time.monotonic() + fake.ahead
    monkeypatch.setattr(module, "time", fake)
    return fake


def test_it_is_a_store(store):
    """It implements `RateLimitStore`, and polls, because other processes share it."""
    assert isinstance(store(), RateLimitStore)
    assert store().poll is not None


def test_a_url_names_one(closing, server):
    """A redis:// URL is opened with a memory fallback, under the account's name, at first use."""
    account = Account("https://api.electronhub.ai/v1", Secret("ek-1"))
    opened = closing(open_store(server.url, account.name))
    assert isinstance(opened, MemoryFallback)
    assert server.raw.keys() == []
    opened.update(acquire("a"))
    assert server.raw.keys() == [f"electronhub:window:{account.name}".encode()]


def test_a_second_store_sees_the_slots_of_the_first(store):
    """A slot acquired through one store is not available through another."""
    one, other = store(window=SlidingWindow(limit=1, probing=False)), store()
    assert one.update(acquire("a")) is None
    assert other.update(acquire("b")) is not None
    assert list(other.update(look)[0].slots.in_flight) == ["a"]


def test_accounts_do_not_touch_each_other(store):
    """Two accounts on one server have separate windows."""
    one, other = store("one"), store("other", SlidingWindow(limit=7))
    one.update(acquire("a"))
    other.update(acquire("b"))
    assert [list(each.update(look)[0].slots.in_flight) for each in (one, other)] == [["a"], ["b"]]
    assert [each.update(look)[0].limit for each in (one, other)] == [None, 7]


def test_processes_lose_no_change(store, server):
    """No change is lost if several processes change one window concurrently."""
    children = begin(counting_script(RedisStore), server.url, 40, count=3)
    release(children)
    finish(children)
    assert store().update(look)[0].limit == 3 * 40


def test_a_change_is_one_round_trip(store, server):
    """Without contention, each change is one command, and a read writes nothing."""
    ours = store()
    ours.update(count_one)
    server.commands()
    for _ in range(5):
        ours.update(count_one)
    assert server.commands() == {"evalsha": 5, "get": 5, "set": 5, "time": 5}
    ours.update(look)
    assert server.commands() == {"evalsha": 1, "get": 1, "time": 1}


def test_whoever_was_slower_tries_again(store):
    """A change that loses a race is reapplied to the new state, and its last result is returned."""
    ours, other, tries = store(), store(), []
    ours.update(count_one)

    def interrupted(window, now):
        tries.append(list(window.slots.in_flight))
        if len(tries) < 3:
            other.update(acquire(f"of others {len(tries)}"))
            other.update(lambda window, _: setattr(window, "probing", False))
        return window.acquire(now, "ours", max_duration=70.0) or len(tries)

    ours.update(lambda window, _: setattr(window, "limit", None))
    ours.update(lambda window, _: setattr(window, "probing", False))
    assert ours.update(interrupted) == 3
    assert tries == [[], ["of others 1"], ["of others 1", "of others 2"]]
    assert sorted(other.update(look)[0].slots.in_flight) == ["of others 1", "of others 2", "ours"]


def test_a_change_that_raises_changes_nothing(store):
    """An error in a change is raised to the caller, the window is unchanged, and the next change works."""
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


# The clock.


def test_time_is_the_server_s(store, machine):
    """Machines with very different monotonic clocks agree on when a slot is released."""
    one, other = store(window=SlidingWindow(limit=1)), store()
    machine.ahead = 1e6
    one.update(acquire("a"))
    one.update(complete("a"))
    machine.ahead = -500.0
    assert other.update(lambda window, now: window.delay(now)) == pytest.approx(60.1, abs=10)
    machine.ahead = 1e6
    assert one.update(lambda window, now: window.delay(now)) == pytest.approx(60.1, abs=10)


def test_time_goes_on_between_answers(store, machine):
    """Between two replies, the time is extrapolated with the machine's own clock."""
    ours = store()
    _, before = ours.update(look)
    machine.ahead += 40.0
    assert ours.update(look)[1] - before == pytest.approx(40.0, abs=10)


@pytest.mark.parametrize(
    ("jump", "followed"),
    [
        (0.0, 0.0),
        (MAX_CLOCK_CORRECTION - 0.1, MAX_CLOCK_CORRECTION - 0.1),
        (MAX_CLOCK_CORRECTION + 0.1, 0.0),
        (3600.0, 0.0),
        (-3600.0, 0.0),
    ],
)
def test_a_clock_of_the_server_that_jumps(server, monkeypatch, closing, jump, followed):
    """A better estimate is adopted, but a jump of the server's clock is not, so that no slot is released too early."""
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 50.0))
    ours, seconds = closing(RedisStore(server.url, "an account")), [1000.0]

    def swap(*, keys, args):  # noqa: ARG001 - as a script is called
        return 1, args[1].strip(b"-"), (int(seconds[0]), round(seconds[0] % 1 * 1e6))

    ours._swap = swap  # the server's clock cannot be set
    before = ours.update(look)[1]
    seconds[0] += jump
    ours.update(count_one)
    assert ours.update(look)[1] - before == pytest.approx(followed)


# What the server keeps.


def test_the_server_learns_no_secrets(client, emulator, server):
    """No name or value contains the key, the address or a text."""
    service = emulator(rpm=100)
    with client(service, rate_limit_store=server.url) as ours:
        ours.embed_query("a secret text")
    kept = {name: server.raw.get(name) for name in server.raw.scan_iter()}
    account = Account(service.base_url, Secret(service.api_key))
    assert list(kept) == [f"electronhub:window:{account.name}".encode()]
    written = b"".join(name + value for name, value in kept.items())
    secrets = [service.api_key, service.api_key[3:], service.base_url, "127.0.0.1", "a secret text"]
    assert [secret for secret in secrets if secret.encode() in written] == []


def test_a_window_is_forgotten_some_day(store, server):
    """Each change sets an expiry, long after all entries of the window have expired."""
    ours = store()
    for _ in range(2):
        ours.update(count_one)
        (name,) = server.raw.keys()
        assert KEY_TTL - TIMEOUT < server.raw.pttl(name) / 1000 <= KEY_TTL
        server.raw.persist(name)


@pytest.mark.parametrize("state", [b"\x02 of a newer version", b"\x8b of none"])
def test_a_state_of_another_version_trips_no_limit_and_is_told(store, server, caplog, state):
    """An unreadable state leads to a wait of one period, with a warning; later processes read the new state."""
    (one, other), name = (store(), store()), "electronhub:window:an account"
    server.raw.set(name, state)
    pause = one.update(acquire("a"))
    assert (pause.seconds, pause.reason) == (pytest.approx(60.1), "earlier requests are not known")
    assert other.update(acquire("b")).seconds == pytest.approx(60.1, abs=10)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert decode(server.raw.get(name)).unknown_until > 0


# Trouble.


def test_redis_py_is_missing(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    account = Account("https://api.electronhub.ai/v1", Secret("ek-1"))
    for url in ("redis://localhost", "rediss://localhost", "unix:///somewhere"):
        with pytest.raises(ImportError, match=r'pip install "electronhub-embeddings\[redis\]"'):
            open_store(url, account.name)


@pytest.fixture
def own(tmp_path):
    """Return a server that the test may stop."""
    server = Server(tmp_path).start()
    yield server
    server.close()


def test_a_server_that_cannot_be_reached(own, closing):
    """The error is redis-py's own; once the server is available, the same store works."""
    own.stop()
    ours = closing(RedisStore(own.url, "an account"))
    with pytest.raises(redis.ConnectionError):
        ours.update(look)
    own.start()
    ours.update(acquire("a"))
    assert list(ours.update(look)[0].slots.in_flight) == ["a"]


def test_a_server_started_anew(own, closing):
    """After a restart, in which the server loses window and script, the store continues with the known state."""
    ours = closing(RedisStore(own.url, "an account", SlidingWindow(limit=1, probing=False)))
    assert ours.update(acquire("a")) is None
    own.stop()
    own.start()
    assert ours.update(acquire("b")) is not None
    other = closing(RedisStore(own.url, "an account"))
    assert list(other.update(look)[0].slots.in_flight) == ["a"]


def test_an_answer_that_was_lost(store):
    """If redis-py repeats a command because the reply was lost, the slot is acquired only once."""
    ours = store(window=SlidingWindow(limit=1, probing=False))
    ours.update(look)
    swap = ours._swap

    def twice(**arguments):
        swap(**arguments)
        return swap(**arguments)

    ours._swap = twice  # the connection cannot be made to fail just there
    assert ours.update(acquire("a")) is None
    assert list(ours.update(look)[0].slots.in_flight) == ["a"]


def test_a_child_process_has_connections_of_its_own(store):
    """After a fork, the same window is used through other connections."""
    ours = store(window=SlidingWindow(limit=1, probing=False))
    ours.update(acquire("a"))
    child = ours.after_fork()
    assert child._redis is not ours._redis  # nothing public tells
    assert list(child.update(look)[0].slots.in_flight) == ["a"]
    assert child.update(acquire("b")) is not None
    child.close()


def test_a_fresh_child_begins_with_the_same_window(store):
    """If the server has no window, a child starts with the same initial window as its parent."""
    child = store(window=SlidingWindow(limit=7, period=2.0)).after_fork()
    window, _ = child.update(look)
    assert (window.limit, window.period) == (7, 2.0)
    child.close()
