"""What users wait for: a million texts over TLS, and texts that go into a vector store.

The method is that of run.py: each contender in a process of its own, in turns, against the server of this folder.

    make bench-ingestion     writes job.md, stores.md and ingestion.json to benchmarks/results (8 minutes)
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from report import counted, ratio
from run import RESULTS, alone, in_turns, server
from stores import POSTGRES

from support.postgres_server import running_server

MILLION = 1_000_000
JOB = 50_000
"""Texts of the jobs in turns, two of each; both count, as the first of five chunks is enough to warm up."""
JOBS = {
    "job_arrays": "arrays, `iter_embed`",
    "job_langchain": "lists, LangChain",
    "job_langchain_openai": "lists, langchain-openai",
}
OURS = ("job_arrays", "job_langchain")
ARRAYS = ("arrays_alone", "arrays")
PEER = "langchain_openai"
LISTS = ("langchain_alone", "langchain", PEER)
FILLING_ROUNDS = 3
FILLING_SECONDS = 1.0
"""Seconds of a turn, at least."""


@dataclass(frozen=True)
class Filling:
    """A store that is filled through one interface: from what is there already, by this package, and by the peer."""

    title: str
    store: str
    texts: int
    """As many as take a second or two."""
    ways: tuple[str, ...]

    def measure(self, base_url: str) -> dict[str, list[dict[str, float]]]:
        """Measure each way."""
        names = {f"fill_{self.store}_{way}": way for way in self.ways}
        found = in_turns(names, base_url, self.texts, FILLING_ROUNDS, seconds=FILLING_SECONDS, least=1)
        return {names[name]: rows for name, rows in found.items()}


FILLINGS = (
    Filling("FAISS, arrays: `index.add`", "faiss", 10_000, ARRAYS),
    Filling("FAISS, LangChain", "faiss", 4_000, LISTS),
    Filling("pgvector, arrays: `COPY`", "pgvector", 10_000, ARRAYS),
    Filling("pgvector, LangChain", "pgvector", 500, LISTS),
    Filling("Qdrant's local mode, arrays: `upload_collection`", "qdrant", 1_000, ARRAYS),
    Filling("Qdrant's local mode, LangChain", "qdrant", 1_000, LISTS),
)


def measure() -> dict[str, Any]:
    """Measure everything, and say how far that is."""
    began, found = time.monotonic(), {"million": {}, "stores": {}}
    with server() as addresses, running_server() as postgres:
        os.environ[POSTGRES] = postgres.url
        base_url = addresses["tls"]
        found["jobs"] = in_turns(JOBS, base_url, JOB, 1, seconds=0.0, least=1)
        for name in OURS:
            print(f"{time.monotonic() - began:.0f} s: a million, {JOBS[name]}", file=sys.stderr)
            (found["million"][name],) = alone(name, base_url, (MILLION,))
        for filling in FILLINGS:
            print(f"{time.monotonic() - began:.0f} s: {filling.title}", file=sys.stderr)
            found["stores"][filling.title] = filling.measure(base_url)
    print(f"{time.monotonic() - began:.0f} s: done", file=sys.stderr)
    return found


def table(heads: list[str], lines: list[list[str]]) -> str:
    """Write a Markdown table whose first column has words, and all others figures."""
    rule = f"|---{'|---:' * (len(heads) - 1)}|"
    return "\n".join([f"| {' | '.join(heads)} |", rule, *(f"| {' | '.join(cells)} |" for cells in lines), ""])


def job_table(found: dict[str, Any]) -> str:
    """Write the figures of the long job as Markdown."""
    heads = [
        f"{JOB:,} texts in turns, and a million",
        "vectors/s",
        "times langchain-openai",
        "seconds of CPU for a million",
        "MB at the peak",
        "a million: seconds",
        "MB at the peak",
    ]
    lines: list[list[str]] = []
    took = {name: [row["seconds"] for row in rows] for name, rows in found["jobs"].items()}
    for name, title in JOBS.items():
        rows, own = found["jobs"][name], took[name]
        cpu = median(row["cpu"] for row in rows)
        whole = found["million"].get(name)
        cells = [
            title,
            f"{JOB / median(own):,.0f}",
            f"{ratio(took['job_langchain_openai'], own):.1f}",
            f"{cpu * MILLION / JOB:.0f}",
            f"{max(row['peak'] for row in rows):.0f}",
            *([f"{whole['seconds']:.0f}", f"{whole['peak']:.0f}"] if whole else ["", ""]),
        ]
        lines.append(cells)
    return table(heads, lines)


def stores_table(found: dict[str, Any]) -> str:
    """Write how fast stores are filled as Markdown."""
    heads = ["vectors/s into", "the store alone", "electronhub", "langchain-openai", "times"]
    lines: list[list[str]] = []

    def times(filling: Filling, way: str) -> list[float]:
        return [seconds / filling.texts for seconds in counted(found["stores"][filling.title][way])]

    peers = {filling.store: times(filling, PEER) for filling in FILLINGS if PEER in filling.ways}
    for filling in FILLINGS:
        alone, own, *peer = (times(filling, way) for way in filling.ways)
        speeds = [f"{1 / median(each):,.0f}" for each in (alone, own, *peer)]
        cells = [filling.title, *speeds, *([] if peer else [""]), f"{ratio(peers[filling.store], own):.1f}"]
        lines.append(cells)
    return table(heads, lines)


def main() -> None:
    """Measure, and write the tables."""
    found = measure()
    (RESULTS / "ingestion.json").write_text(json.dumps(found), encoding="utf-8")
    tables = {"job.md": job_table(found), "stores.md": stores_table(found)}
    for name, text in tables.items():
        (RESULTS / name).write_text(text, encoding="utf-8")
    sys.stdout.write("\n".join(tables.values()))


if __name__ == "__main__":
    main()
