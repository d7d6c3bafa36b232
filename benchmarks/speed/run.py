"""How fast, in how much memory: this package and its peers, in one run, against one local server.

Every contender has a process of its own, and they take turns: a round is one turn of each, so that what disturbs the
machine disturbs all.

    python benchmarks/speed/run.py          writes benchmarks/results/speed.md, speed.json and speed.png
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from report import ARRAYS, GROWTH, LISTS, TEXTS, picture, report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
ROUNDS = 7
TURN = 4.0
"""Seconds of a turn, at least, the same for all."""
JOBS = 4
"""Jobs of a turn, at least."""
WARM_UP = 64
QUERIES = 300
QUERY = ("query_ours", "query_langchain_openai", "query_bare")
IMPORTS = {
    "langchain_core.embeddings.embeddings": ("langchain_electronhub", "langchain_openai"),
    "llama_index.core.base.embeddings.base": ("llama_index_electronhub", "llama_index.embeddings.openai"),
}


class Worker:
    """A contender in its process."""

    def __init__(self, name: str, base_url: str) -> None:
        command = [sys.executable, str(HERE / "worker.py"), name, base_url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read() == "ready\n", name

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def run(self, count: int) -> dict[str, float]:
        """Let it work, and return what it measured."""
        assert self._process.stdin
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        measured: dict[str, float] = json.loads(self._read())
        return measured

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def turn(worker: Worker, count: int, seconds: float, least: int) -> dict[str, float]:
    """Let one work for a while, and return the medians of the second half of its jobs.

    While the others had their turns connections were closed, and memory was given back: on a virtual machine to the
    host, and to get it back from there takes longer than to fill it. That passes within seconds, whatever is run.
    """
    jobs: list[dict[str, float]] = []
    end = time.monotonic() + seconds
    while len(jobs) < least or time.monotonic() < end:
        jobs.append(worker.run(count))
    return {what: median(job[what] for job in jobs[len(jobs) // 2 :]) for what in jobs[0]}


def in_turns(
    names: Iterable[str], base_url: str, count: int, rounds: int = ROUNDS, *, seconds: float = TURN, least: int = JOBS
) -> dict[str, list[dict[str, float]]]:
    """Let contenders do the same work, round by round; a turn takes so many seconds and jobs, at least.

    The very first job of each tells the peak of memory, as it starts from none.
    """
    workers = {name: Worker(name, base_url) for name in names}
    for worker in workers.values():
        worker.run(WARM_UP)
    measured = {name: [worker.run(count)] for name, worker in workers.items()}
    for _ in range(rounds):
        for name, worker in workers.items():
            measured[name].append(turn(worker, count, seconds, least))
    for worker in workers.values():
        worker.close()
    return measured


def alone(name: str, base_url: str, counts: tuple[int, ...]) -> list[dict[str, float]]:
    """Let one work on more and more texts."""
    worker = Worker(name, base_url)
    if not name.startswith("memory"):
        worker.run(WARM_UP)
    measured = [worker.run(count) for count in counts]
    worker.close()
    return measured


def imports() -> dict[str, list[float]]:
    """Time what an import adds to that of its framework, each in a new process, in turns.

    All but the first find their bytecode, as what is installed does.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    script = "import sys, time, importlib as i; i.import_module(sys.argv[1]); t = time.perf_counter(); "
    script += "i.import_module(sys.argv[2]); print(time.perf_counter() - t)"
    added: dict[str, list[float]] = {name: [] for names in IMPORTS.values() for name in names}
    for _ in range(ROUNDS):
        for base, names in IMPORTS.items():
            for name in names:
                command = [sys.executable, "-W", "ignore", "-c", script, base, name]
                added[name].append(float(subprocess.check_output(command, env=environment, text=True)))
    return added


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """Start the server, and let contenders trust its certificates; yield the address of each wire."""
    command = [sys.executable, str(HERE / "server.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    addresses = json.loads(process.stdout.readline())
    os.environ["SSL_CERT_FILE"] = addresses.pop("certificates")
    yield addresses
    process.communicate()


def main() -> None:
    """Measure everything, and write the table and the picture."""
    with server() as addresses:
        base_url = addresses["http"]
        found = {
            "bulk": in_turns((*LISTS, *ARRAYS), base_url, TEXTS),
            "queries": in_turns(QUERY, base_url, QUERIES),
            "imports": imports(),
            "growth": alone("growth_ours", base_url, GROWTH),
            "stream": alone("stream_ours", base_url, GROWTH[1:]),
        }
    RESULTS.mkdir(exist_ok=True)
    text = report(found)
    (RESULTS / "speed.md").write_text(text, encoding="utf-8")
    (RESULTS / "speed.json").write_text(json.dumps(found), encoding="utf-8")
    picture(found, RESULTS / "speed.png")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
