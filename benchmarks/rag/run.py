"""A RAG application on one key: a long ingestion, chat calls and bursts of searches, with a limiter and without.

Every contender runs under each limit in a process of its own, against an emulator of its own with the documented rules
(60 s window, 180 s cooldown, failed calls counted), 0.3 s of service time and up to 0.5 s of jitter. They wait, mostly,
so all run at the same time. A run that does not end is stopped, and counts as unfinished.

    python benchmarks/rag/run.py            writes benchmarks/results/company.md, company.json and company.png
    python benchmarks/rag/run.py --quick    two windows, ten times as fast, 20 a minute; the picture is a temporary file
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from applications import CONTENDERS, Job
from client import client
from load import LEAD, Rules, documents, shortest
from report import footnote, picture, table

from electronhub_embeddings.emulator import Emulator

if TYPE_CHECKING:
    from electronhub_embeddings.emulator import Call

RESULTS = Path(__file__).parents[1] / "results"
LIMITS = (5, 20, 60)
QUICK = Rules(window=6.0, cooldown=18.0, latency=0.03, jitter=0.05, windows=2)
START = 60.0
"""Seconds that a process may take to start and to import."""


def count_documents(call: Call) -> int:
    """Count the texts of the ingestion in a call."""
    texts = call.body.get("input", [])
    return sum(text.startswith("Paragraph") for text in ([texts] if isinstance(texts, str) else texts))


def kind(call: Call) -> str:
    """Return whose request it was: of the chat, of searches, of documents, or of both."""
    if call.messages:
        return "chat"
    documents = count_documents(call)
    return "searches" if not documents else "documents" if documents == call.texts else "both"


def locked(refusals: list[float], cooldown: float, end: float) -> float:
    """Return for how many seconds the key was locked until the end of the run."""
    total, until = 0.0, 0.0
    for at in refusals:
        total += max(0.0, min(at + cooldown, end) - max(at, until))
        until = max(until, at + cooldown)
    return total


def run(name: str, limit: int, rules: Rules) -> dict[str, Any]:
    """Run one contender under one limit."""
    processes = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as state,
        Emulator(
            rpm=limit,
            window=rules.window,
            cooldown=rules.cooldown,
            latency=rules.latency,
            jitter=rules.jitter,
            seed=limit,
        ) as service,
    ):
        mine, theirs = processes.Pipe()
        job = Job(name, limit, rules, service.base_url, service.api_key, state)
        process = processes.Process(target=client, args=(job, theirs))
        process.start()
        if not mine.poll(START + LEAD * rules.window + rules.deadline + START):
            raise TimeoutError(f"{name} at {limit} did not end")
        seen = mine.recv()
        process.terminate()
        process.join()
        calls = service.calls
    begun, wanted = seen.pop("begun"), len(documents(limit, rules))
    timeline = [(round(call.at - begun, 3), kind(call), call.limited) for call in calls]
    ingestion = seen["ingestion"]
    ingestion["finished"] = ingestion["vectors"] == wanted
    return {
        "contender": name,
        "limit": limit,
        **seen,
        "texts": wanted,
        "shortest": shortest(rules),
        "refused": sum(call.limited for call in calls),
        "locked": locked([at for at, _, limited in timeline if limited], rules.cooldown, seen["end"]),
        "lost": sum(count_documents(call) for call in calls if call.status == 200) - ingestion["vectors"],
        "timeline": timeline,
    }


def main() -> None:
    """Run everything, and write the table and the picture."""
    quick = "--quick" in sys.argv
    rules, limits = (QUICK, LIMITS[1:2]) if quick else (Rules(), LIMITS)
    jobs = [(name, limit, rules) for limit in limits for name in CONTENDERS]
    with ThreadPoolExecutor(len(jobs)) as pool:
        rows = list(pool.map(run, *zip(*jobs, strict=True)))
    text = f"{table(rows, LEAD * rules.window)}\n\n{footnote()}\n"
    folder = Path(tempfile.mkdtemp()) if quick else RESULTS
    if quick:
        text += f"{folder / 'company.png'}\n"
    else:
        (RESULTS / "company.md").write_text(text, encoding="utf-8")
        (RESULTS / "company.json").write_text(json.dumps(rows), encoding="utf-8")
    picture([row for row in rows if row["limit"] == LIMITS[1]], rules, folder / "company.png")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
