"""Mixed traffic from many threads and event loops, on a service that fails at random, for any duration."""

import gc
import random
import threading
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from electronhub_embeddings.emulator import Emulator
from support.child_processes import begin, finish
from support.entry_points import ENTRY_POINTS, expected_vectors
from support.random_faults import EMBED_METHODS, embed_until_complete
from support.repository import TESTS

THREADS = len(EMBED_METHODS)

LARGEST_GROWTH = 24.0
"""MB that a flat memory may grow by after the warm-up: what allocators keep."""


# The service has a process of its own: its threads, sockets and memory are not to be measured.
SERVICE = """
import sys
from support.random_faults import random_fault
from electronhub_embeddings.emulator import Emulator

with Emulator(rpm=0, api_key="ek-soak", chance=random_fault, seed=11, keep_bodies=False) as service:
    print(service.base_url, flush=True)
    sys.stdin.readline()
    print(len(service.calls))
"""


def measure():
    """Return the resources that could leak: threads, open files and sockets, and MB of memory."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {
        "threads": threading.active_count(),
        "files and sockets": len(list(Path("/proc/self/fd").iterdir())),
        "MB": int(status["VmRSS"].split()[0]) / 1024,
    }


class Traffic:
    """Threads that embed through every method concurrently until they are stopped, and check every vector."""

    def __init__(self, base_url, cache):
        self.calls = Counter()
        self.texts = self.failures = self.wrong = 0
        self._base_url = base_url
        self._vectors = Emulator()  # not started: it only knows what is right
        self._cache = cache
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._errors = []

    def run(self, seconds):
        """Run for a number of seconds."""
        self._stop.clear()
        threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        self._stop.wait(seconds)
        self._stop.set()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, seed):
        try:
            rng = random.Random(seed)
            for turn in count(seed):  # the threads have different ways: on a busy machine each lives only once
                self._one_life(rng, list(EMBED_METHODS)[turn % len(EMBED_METHODS)])
                if self._stop.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            self._errors.append(error)
            self._stop.set()

    def _one_life(self, rng, way):
        """Create an object, use it several times, and close it or leave it to the garbage collector."""
        options = {"cache": self._cache} if rng.random() < 0.3 else {}
        thing = ENTRY_POINTS[f"{way.partition(',')[0]} sync"].cls(
            api_key="ek-soak",
            base_url=self._base_url,
            dimensions=64,
            batch_size=rng.choice([16, 64, 2048]),
            timeout=5.0,
            **options,
        )
        for _ in range(rng.randrange(1, 6)):
            first, size = rng.randrange(20_000), rng.choice([1, 10, 300])
            texts = [f"text {number}" for number in range(first, first + size)]
            rows, failed = embed_until_complete(lambda some: EMBED_METHODS[way](thing, some), texts)
            wrong = int((rows != expected_vectors(self._vectors, texts, 64)).any(axis=1).sum())
            with self._lock:
                self.calls[way] += 1
                self.texts += size
                self.failures += failed
                self.wrong += wrong
        if rng.random() < 0.8:
            thing.close()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
def test_nothing_leaks_and_nothing_is_wrong(full, report, tmp_path, until, workers):
    """After the warm-up, threads, sockets, files and memory stay constant, and every vector is right."""
    seconds = 600.0 if full else 4.0
    (service,) = begin(SERVICE, PYTHONPATH=str(TESTS))
    try:
        traffic = Traffic(service.stdout.readline().strip(), tmp_path / "vectors.db")
        traffic.run(seconds / 4)
        before = settled(until, workers)
        traffic.run(seconds * 3 / 4)
        after = settled(until, workers)
    finally:
        (requests,) = finish([service])
    report(
        f"{seconds:.0f} s: {sum(traffic.calls.values()):,} calls, {traffic.texts:,} texts, {int(requests):,} requests, "
        f"{traffic.failures} calls failed and went on, {traffic.wrong} wrong vectors; "
        + ", ".join(f"{name} {before[name]:.0f} -> {after[name]:.0f}" for name in before)
    )
    assert traffic.wrong == 0
    assert set(traffic.calls) == set(EMBED_METHODS)
    assert after["threads"] <= before["threads"]
    assert after["files and sockets"] <= before["files and sockets"]
    assert not full or after["MB"] < before["MB"] + LARGEST_GROWTH


def settled(until, workers):
    """Measure the resources after garbage collection."""
    gc.collect()
    until(lambda: workers() == [])
    return measure()
