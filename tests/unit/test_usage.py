"""Counters: one lock for all of them, which no fork leaves held."""

import os
import sys
import threading

import pytest

from electronhub_embeddings import Usage
from electronhub_embeddings.usage import _counting, add_usage


def test_usage_is_added_to_all_counters():
    """Each counter that is named, in each of the blocks."""
    outer, inner = Usage(), Usage()
    add_usage([outer, inner], attempts=1, seconds_waited=0.5)
    add_usage([inner], attempts=2)
    assert (outer, inner) == (Usage(attempts=1, seconds_waited=0.5), Usage(attempts=3, seconds_waited=0.5))


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_a_worker_counts():
    """A child counts, although the thread that held the lock does not exist in it."""
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with _counting:
            held.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _counting.acquire(timeout=5) else 1)
    let_go.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with _counting:  # the parent's lock was left as it was
        assert _counting.locked()
