"""An interruption at any line of the SQLite code leaves nothing locked, in this or other processes."""

import contextlib
import gc
import itertools
import linecache
import sys
import threading

import numpy as np
import pytest

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._storage import database, file_opening
from electronhub_embeddings._storage import vector_cache as cache
from electronhub_embeddings._storage.vector_cache import VectorCache
from electronhub_embeddings.rate_limit_stores import sqlite
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from support.child_processes import TIMEOUT, begin, kill, release
from support.window_changes import count_one

FILES = {module.__file__ for module in (cache, database, file_opening, sqlite)}

TEXTS = ["one", "two"]
ROWS = np.array([[1.0, 2.0], [3.0, 4.0]], "<f4")

OTHER = """
import sqlite3, sys

print("ready", flush=True)
sys.stdin.readline()
for path in sys.stdin:
    try:
        connection = sqlite3.connect(f"file:{path.strip()}?mode=rw", uri=True, timeout=0.05, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        connection.close()
    except sqlite3.Error as error:
        print(error, flush=True)
    else:
        print("written", flush=True)
"""
"""Another process, which takes the lock for writing each time it is told to."""


class Interruption(BaseException):
    """An interruption, like Ctrl-C."""


@pytest.fixture
def other_process():
    """Return a function that makes another process write to a file, with a very short busy timeout."""
    (child,) = begin(OTHER)
    release([child])

    def write(path):
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    yield write
    kill(child)


def is_release(frame):
    """Say whether a line is about to let go of a lock.

    For a trace function that is a line of its own, the `with` once more. A signal does not arrive there: from Python
    3.11 on the interpreter looks for signals after calls and at jumps back alone, and the release is the next call.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    if line.startswith("with self._lock"):
        return frame.f_locals["self"]._lock._is_owned()  # nothing public tells
    return line.startswith("with _creating") and file_opening._creating.locked()


def interrupted(number, action):
    """Raise at the n-th line; return the interruption, or None if the action ended before."""
    lines = itertools.count(1)

    def at_line(frame, event, _):
        if event == "line" and not is_release(frame) and next(lines) == number:
            raise Interruption
        return at_line

    def at_call(frame, _event, _):
        return at_line if frame.f_code.co_filename in FILES else None

    before = sys.gettrace()
    gc.disable()  # else a database of another test could be collected, and its finalizer interrupted
    sys.settrace(at_call)
    try:
        action()
    except Interruption as interruption:
        return interruption
    finally:
        sys.settrace(before)
        gc.enable()
    return None


def in_another_thread(action):
    """Call a function in a thread that may hang, and return its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(action()), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "it hangs"
    return results[0]


def reading(path):
    """Return a cache, a function that reads it, and a function that checks that it works."""
    ours = VectorCache(path, "a namespace")
    return ours, lambda: ours.recall(prepare_texts(TEXTS)), lambda: works(ours)


def writing(path):
    """Return a cache, a function that writes to it, and a function that checks that it works."""
    ours = VectorCache(path, "a namespace")
    new = ours.recall(prepare_texts(TEXTS))
    return ours, lambda: new.keep(0, 2, ROWS), lambda: works(ours)


def updating(path):
    """Return a store, a function that changes its window, and a function that checks that it works."""
    ours = SQLiteStore(str(path), "an account")

    def counts():
        before = ours.update(lambda window, _: window.limit or 0)
        ours.update(count_one)
        return ours.update(lambda window, _: window.limit) == before + 1

    return ours, lambda: ours.update(count_one), counts


def works(ours):
    """Return whether a cache can be written and read."""
    ours.recall(prepare_texts(TEXTS)).keep(0, 2, ROWS)
    return ours.recall(prepare_texts(TEXTS)).rows.tolist() == ROWS.tolist()


@pytest.mark.parametrize("is_open", [False, True], ids=["a new file", "an open file"])
@pytest.mark.parametrize("scene", [reading, writing, updating])
def test_an_interruption_at_any_line(tmp_path, other_process, monkeypatch, scene, is_open):
    """After an interruption at each line, another process, another thread and this thread can write."""
    monkeypatch.setattr(cache, "BUSY_TIMEOUT", 1.0)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1.0)
    for number in itertools.count(1):
        path = tmp_path / f"{number}.db"
        thing, action, check = scene(path)
        with contextlib.closing(thing):
            if is_open:
                assert check()
            interruption = interrupted(number, action)
            if path.exists():  # the interruption, and all that its traceback holds, is still there
                assert other_process(path) == "written", number
            assert in_another_thread(check), number
            assert check(), number
        if interruption is None:
            break
    assert number > 10  # else the tracing has not worked
