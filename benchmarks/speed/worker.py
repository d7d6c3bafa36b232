"""One contender in a process of its own: told over its standard input what to do, it answers with a line of JSON.

python benchmarks/speed/worker.py NAME BASE_URL
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contenders

if TYPE_CHECKING:
    from collections.abc import Iterator

    import stores

    from electronhub_embeddings import EmbeddingsClient


def generate(count: int) -> Iterator[str]:
    """Make texts of the length of a short paragraph, all different."""
    body = "A short paragraph, as a splitter leaves it: long enough to have a meaning, short enough to be one of many. "
    return (f"{number}: {body}" for number in range(count))


def texts(count: int) -> list[str]:
    """Return them as a list."""
    return list(generate(count))


def megabytes() -> float:
    """Measure the memory in use."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def bulk(embed: contenders.Embed, count: int) -> dict[str, float]:
    """Embed once; return seconds, and by how many MB the memory rose above what it was, at its peak."""
    some = texts(count)
    gc.collect()
    before = megabytes()
    start, cpu = time.perf_counter(), time.process_time()
    result = embed(some)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert len(result) == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak": peak - before}


def job(vectors_of: contenders.Job, count: int) -> dict[str, float]:
    """Embed texts as they are made, and keep no vector; return the same."""
    gc.collect()
    before = megabytes()
    start, cpu = time.perf_counter(), time.process_time()
    assert sum(1 for _ in vectors_of(generate(count))) == count
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak": peak - before}


def filling(task: stores.Task, count: int) -> dict[str, float]:
    """Fill a store, and empty it; return seconds of the former."""
    some = texts(count)
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    task.fill(some)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert task.store.empty() == count
    return {"seconds": seconds, "cpu": cpu}


def queries(ask: contenders.Ask, count: int) -> dict[str, float]:
    """Embed single queries one after the other; return the seconds of wall and of CPU for one, as medians."""
    walls, cpus = [], []
    for number in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        ask(f"question number {number}")
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": sorted(walls)[count // 2], "cpu": sum(cpus) / count}


def stream(client: EmbeddingsClient, count: int) -> dict[str, float]:
    """Embed texts from a generator; return seconds, and by how many MB the memory rose, at its peak while it ran."""
    before, peak, start = megabytes(), 0.0, time.perf_counter()
    for number, _ in enumerate(client.iter_embed(f"{number}: a text" for number in range(count))):
        if number % 5000 == 0:
            peak = max(peak, megabytes())
    return {"seconds": time.perf_counter() - start, "peak": peak - before}


def growth(client: EmbeddingsClient, count: int) -> dict[str, float]:
    """Embed once; return seconds and requests."""
    some, before = texts(count), client.usage.requests
    start = time.perf_counter()
    client.embed(some)
    return {"seconds": time.perf_counter() - start, "requests": client.usage.requests - before}


def memory(embed: contenders.Embed, count: int) -> dict[str, float]:
    """Embed 10,000 texts again and again; return by how many MB the memory rose, in the first call and at its peak."""
    some = texts(10_000)
    gc.collect()
    before, peaks = megabytes(), []
    for _ in range(count):
        embed(some)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before)
    return {"first": peaks[0], "peak": peaks[-1]}


MEASURES = {"query": queries, "stream": stream, "growth": growth, "memory": memory, "job": job, "fill": filling}


def contender(name: str, base_url: str) -> Any:
    """Return a contender; `stores` is for those that fill one, because it imports LangChain."""
    if name.startswith("fill_"):
        import stores

        return stores.task(name, base_url)
    return getattr(contenders, name)(base_url)


def main() -> None:
    """Do what is asked until the input ends."""
    name, base_url = sys.argv[1:]
    task = contender(name, base_url)
    measure = MEASURES.get(name.partition("_")[0], bulk)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(task, int(line))), flush=True)


if __name__ == "__main__":
    main()
