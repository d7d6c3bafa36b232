"""A job that is killed repeatedly loses no answered text."""

import os
import random
import signal
import time
from contextlib import suppress

import httpx
import numpy as np
import pytest

from electronhub_embeddings._codec.reference_vector import REFERENCE_TEXT
from electronhub_embeddings.emulator import Emulator
from support.child_processes import begin, kill
from support.entry_points import expected_vectors

pytestmark = pytest.mark.slow

SEED = 20_000

WAITS_FOR_REQUEST = 0.75
"""The share of runs that are killed at a random time after their first request."""

# The launcher has imported everything and runs no thread, so that a child is at work within milliseconds. A child
# embeds the whole job over the same cache, and keeps what it got only if nobody kills it before. The window is its own:
# else the next child would wait a minute for the slots of one that was killed before it knew the limit.
LAUNCHER = """
import os, sys
import httpcore, numpy as np
import electronhub_embeddings._storage.vector_cache
from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._workers.heavy_imports import import_heavy_modules

import_heavy_modules()

url, key, concurrency, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
texts = [f"text {number}" for number in range(count)]
print("ready", flush=True)
for line in sys.stdin:
    cache, result = line.split()
    pid = os.fork()
    if pid == 0:
        client = EmbeddingsClient(
            api_key=key, base_url=url, cache=cache, dimensions=8, batch_size=100, max_concurrency=concurrency,
            rate_limit_store="memory",
        )
        np.save(result, client.embed(texts))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("concurrency", [1, 8])
def test_kills_lose_nothing(full, concurrency, tmp_path, report, until):
    """At most the requests on the wire at a kill are sent again; in the end every text has its own vector.

    A request counts as answered when the next one on its place on the wire has started: until then nobody can know
    whether the answer, on the wire or half read, has come.
    """
    kills, count, patience = (100, 20_000, 0.8) if full else (12, 4_000, 0.3)
    rng, killed, jobs, requests, repeated = random.Random(SEED), 0, 0, 0, []
    texts = [f"text {number}" for number in range(count)]
    with Emulator(rpm=0, latency=0.004, jitter=0.004) as service:
        expected = expected_vectors(service, texts, 8)
        (launcher,) = begin(LAUNCHER, service.base_url, service.api_key, concurrency, count)
        try:
            assert launcher.stdout.readline() == "ready\n"
            while killed < kills:
                jobs += 1
                runs = finish_a_job(launcher, service, tmp_path / f"job{jobs}", rng, patience, kills - killed, until)
                killed += len(runs) - 1
                requests += sum(map(len, runs[:-1]))
                repeated += sent_again(runs)
                assert np.array_equal(np.load(tmp_path / f"job{jobs}.npy"), expected)
        finally:
            kill(launcher)
    assert requests > killed  # most were killed in the middle of their work, also on a busy machine
    assert max(map(len, repeated)) <= concurrency
    assert concurrency > 1 or set().union(*repeated) <= {0}  # alone on the wire it can only be the last
    report(
        f"{killed} kills in {jobs} jobs of {count:,} texts, {concurrency} on the wire: no wrong vector, none missing; "
        f"{sum(map(len, repeated))} of {killed * concurrency} requests on the wire at a kill were sent again, no other"
    )


def finish_a_job(launcher, service, path, rng, patience, most_kills, until):  # noqa: PLR0917 - one caller
    """Run a job over a new cache, killed within `patience` seconds again and again; return the requests of each run.

    Most runs have these seconds from their first request on, the others from their start.

    After `most_kills` it is left alone: on a busy machine it might never come to its end in time.
    """
    runs = []
    while True:
        service.reset()
        launcher.stdin.write(f"{path}.db {path}.npy\n")
        launcher.stdin.flush()
        pid = int(launcher.stdout.readline())
        if len(runs) < most_kills:
            if rng.random() < WAITS_FOR_REQUEST:
                until(lambda pid=pid: service.calls or not is_running(pid))  # if all is in the cache, there is none
            time.sleep(rng.uniform(0.0, patience))
            with suppress(ProcessLookupError):  # it has ended already
                os.kill(pid, signal.SIGKILL)
        status = int(launcher.stdout.readline())
        settle(service)
        runs.append([{*call.body["input"]} - {REFERENCE_TEXT} for call in service.calls])
        if status == 0:
            return runs
        assert status == -signal.SIGKILL


def is_running(pid):
    """Return whether a process has not been waited for yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def settle(service):
    """Let the service take what a killed run has sent still, so that it is not counted for the next one."""
    for _ in range(2):  # what was there before the first answer is read before the second
        httpx.get(f"{service.base_url}/models", trust_env=False).raise_for_status()


def sent_again(runs):
    """Find the requests any text of which was sent in a later run: for each run their ages, 0 for its last one."""
    later, again = set(), []
    for calls in reversed(runs):
        again.append({age for age, texts in enumerate(reversed(calls)) if not texts.isdisjoint(later)})
        later.update(*calls)
    return again
