"""Objects with forks, process pools and copies, whose keys never mix."""

import contextlib
import copy
import functools
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._workers import account_registry
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from electronhub_embeddings.usage import _counting
from support.child_processes import embed_with_pid, slow_except
from support.entry_points import ENTRY_POINTS, expected_vectors, same
from support.window_changes import look

pytestmark = [
    pytest.mark.usefixtures("quick_retries"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs fork"),
]

SYNC = [name for name in ENTRY_POINTS if name.endswith(" sync")]
LANGCHAIN = [name for name in ENTRY_POINTS if name == "LangChain sync"]
LLAMA_INDEX = [name for name in ENTRY_POINTS if name == "LlamaIndex sync"]

forking = functools.partial(warnings.filterwarnings, "ignore", ".*fork.*", DeprecationWarning)
"""Python 3.12 and later warns of a fork with threads, which is the point here."""


def pickled(thing):
    """Send an object through a pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


def client_of(thing):
    """Return the client of an object."""
    return thing if hasattr(thing, "embed") else thing._client()


def forked(child):
    """Fork; return the exit code of a child that says whether all is well."""
    with warnings.catch_warnings():
        forking()
        pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a child that hangs is killed
        with contextlib.suppress(BaseException):
            os._exit(0 if child() else 1)
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def path(tmp_path):
    """Return the path for a rate limit file."""
    return str(tmp_path / "limits.db")


@pytest.fixture
def shared_file(path):
    """Return a function that creates the file for a service with a period of `seconds`."""

    def begin(service, period):
        name = Account(service.base_url, Secret(service.api_key)).name
        store = SQLiteStore(path, name, SlidingWindow(period=period))
        store.update(look)
        store.close()
        return path

    return begin


# Fork.


def test_a_child_has_connections_of_its_own(recording_server, entry_point):
    """Parent and child never share a connection, and the parent keeps its own."""
    server = recording_server()
    thing = entry_point.make(server)
    entry_point.query(thing, "before")
    assert forked(lambda: len(entry_point.query(thing, "child")) == 2) == 0
    entry_point.query(thing, "after")
    before, child, after = (request.peer for request in server.requests)
    assert before == after
    assert child != before


def test_a_fork_while_every_lock_is_held(entry_point, emulator):
    """A child does not wait for locks that are held by threads of its parent, nor for the store's lock."""
    service = emulator(rpm=100)
    thing = entry_point.make(service)
    entry_point.query(thing, "before")
    (connection,) = client_of(thing)._lifecycle._connections.values()
    ours = connection._workers  # nothing public holds a lock for long enough
    held, let_go = threading.Event(), threading.Event()

    def hold_all():
        with account_registry._lock, ours._loop._lock, ours.limiter.keeper.store._lock, _counting:
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold_all)
    holder.start()
    try:
        assert held.wait(10)
        assert forked(lambda: same(entry_point.query(thing, "child"), service.vector("child"))) == 0
    finally:
        let_go.set()
        holder.join()


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_forks_while_threads_embed(client, emulator, path, stored):
    """Whatever the threads are doing during a fork, each child works, and no thread gets a wrong vector."""
    service = emulator(rpm=0)
    shared = client(service, dimensions=8, rate_limit_store=path if stored else None)
    shared.embed_query("before")
    end = threading.Event()

    def work(number):
        done = 0
        while not end.is_set():
            text = f"{number} {done}"
            assert same(shared.embed_query(text), service.vector(text, dimensions=8))
            done += 1
        return done

    def child(number):
        return same(shared.embed_query(f"child {number}"), service.vector(f"child {number}", dimensions=8))

    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(work, number) for number in range(4)]
        try:
            for number in range(30):
                assert forked(functools.partial(child, number)) == 0
        finally:
            end.set()
        assert all(thread.result() for thread in threads)


def test_a_fork_in_the_middle_of_a_change_of_the_file(client, emulator, path):
    """A child of a process that is writing the file can write to it as well."""
    service = emulator(rpm=0)
    shared = client(service, rate_limit_store=path)
    shared.embed_query("before")
    (connection,) = shared._lifecycle._connections.values()
    store, changing = connection._workers.limiter.keeper.store, threading.Event()

    def slowly(_window, _now):
        changing.set()
        threading.Event().wait(0.3)  # no event can end it: whoever forks may well wait for the end of the change

    writer = threading.Thread(target=store.update, args=(slowly,))
    writer.start()
    assert changing.wait(10)
    try:
        assert forked(lambda: same(shared.embed_query("child"), service.vector("child"))) == 0
    finally:
        writer.join()


# Pools of processes.


@pytest.mark.parametrize("method", slow_except({"fork"}, ["fork", "spawn", "forkserver"]))
def test_pools_of_processes(emulator, closing, shared_file, method):
    """Objects used before work in every kind of process pool; together, the processes respect the limit in the file."""
    service = emulator(rpm=4, window=1.0)
    options = {"api_key": service.api_key, "base_url": service.base_url, "dimensions": 8}
    # Importing LlamaIndex takes seconds: the pipeline below spawns with it.
    names = [name for name in SYNC if method == "fork" or name not in LLAMA_INDEX]
    store = shared_file(service, 1.0)
    things = [closing(ENTRY_POINTS[name].cls(**options, rate_limit_store=store)) for name in names]
    ENTRY_POINTS[names[0]].query(things[0], "before")
    jobs = [(thing, f"{number} {place}") for number in range(4) for place, thing in enumerate(things)]
    with warnings.catch_warnings():
        forking()
        pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        results = pool.starmap(embed_with_pid, jobs, chunksize=1)
        pool.close()
        pool.join()
    assert same([row for _, row in results], expected_vectors(service, [text for _, text in jobs], 8))
    assert os.getpid() not in {process for process, _ in results}
    assert {call.status for call in service.calls} == {200}


@pytest.mark.slow
@pytest.mark.parametrize("entry_point", LLAMA_INDEX, indirect=True)
@pytest.mark.filterwarnings("ignore:Specified num_workers")  # a machine may have one processor
def test_an_ingestion_pipeline_with_workers(entry_point, emulator, shared_file):
    """LlamaIndex's own worker processes have the key, return the right vectors, and respect the limit in the file."""
    from llama_index.core.ingestion import IngestionPipeline  # noqa: PLC0415 - LlamaIndex may be missing
    from llama_index.core.schema import TextNode  # noqa: PLC0415

    service = emulator(rpm=1, window=0.5)
    thing = entry_point.make(service, dimensions=8, rate_limit_store=shared_file(service, 0.5))
    entry_point.query(thing, "before")
    texts = [f"text {number}" for number in range(8)]
    nodes = IngestionPipeline(transformations=[thing]).run(nodes=[TextNode(text=text) for text in texts], num_workers=2)
    assert [node.text for node in nodes] == texts
    assert same([node.embedding for node in nodes], expected_vectors(service, texts, 8))
    assert [(call.status, call.texts) for call in service.calls] == [(200, 1), (200, 4), (200, 4)]


# Doubles.

DOUBLES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickled,
    "model_copy": lambda thing: thing.model_copy() if hasattr(thing, "model_copy") else copy.copy(thing),
}


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_keys_never_mix(recording_server, entry_point, until, workers):
    """Threads that copy, use and drop objects with different keys send each text with the key of its object."""
    server = recording_server()
    originals = {key: entry_point.make(server, api_key=key) for key in ("ek-one", "ek-two", "ek-three")}

    def work(number):
        for (key, thing), double in zip(list(originals.items()) * 2, list(DOUBLES.values()) * 2, strict=False):
            entry_point.query(double(thing) if number % 2 else thing, f"{key} {number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    for thing in originals.values():
        thing.close()
    until(lambda: workers() == [])  # those of the forgotten doubles go by themselves
    sent = [(request.header("authorization"), json.loads(request.body)["input"]) for request in server.requests]
    assert [pair for pair in sent if any(pair[0] != [f"Bearer {text.split()[0]}"] for text in pair[1])] == []
    assert {texts[0].split()[0] for _, texts in sent} == set(originals)


@pytest.mark.parametrize("entry_point", LANGCHAIN, indirect=True)
def test_a_copy_with_another_key(recording_server, entry_point):
    """A LangChain copy with another key uses it, and its original keeps its own, in any order of calls."""
    from pydantic import SecretStr  # noqa: PLC0415 - LangChain may be missing

    server = recording_server()
    original = entry_point.make(server, api_key="ek-one")
    twin = original.model_copy(update={"api_key": SecretStr("ek-two")})
    for thing in (original, twin, original, twin):
        entry_point.query(thing, "one")
    keys = [request.header("authorization") for request in server.requests]
    assert keys == [["Bearer ek-one"], ["Bearer ek-two"]] * 2


@pytest.mark.parametrize("entry_point", slow_except({"client sync"}, SYNC), indirect=True)
@pytest.mark.parametrize("double", DOUBLES.values(), ids=DOUBLES)
def test_doubles_keep_the_limit_of_the_file(entry_point, closing, emulator, shared_file, double):
    """Copies write to the same file, and together with their original they respect its limit."""
    service = emulator(rpm=1, window=0.1)
    thing = entry_point.make(service, dimensions=8, rate_limit_store=shared_file(service, 0.1))
    twin = closing(double(thing))
    rows = [entry_point.query(each, text) for each, text in ((thing, "one"), (twin, "two"), (thing, "three"))]
    assert same(rows, expected_vectors(service, ["one", "two", "three"], 8))
    assert [call.status for call in service.calls] == [200] * 3
