"""How fast, in how much memory: this package and its peers, in one run, against one local server.

Every contender has a process of its own, and they take turns: a round is one job of each, so that what disturbs the
machine disturbs all. Speeds are medians of the rounds, ratios are medians of the rounds' ratios.

    python benchmarks/speed/run.py          writes benchmarks/results/speed.md, speed.json and speed.png
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
ROUNDS = 7
TEXTS = 10_000
WARM_UP = 64
QUERIES = 300
LISTS = {
    "ours_langchain": "electronhub, LangChain",
    "ours_langchain_async": "electronhub, LangChain, async",
    "ours_llama_index": "electronhub, LlamaIndex",
    "langchain_openai": "langchain-openai",
    "llama_index_openai": "llama-index-embeddings-openai",
    "baseten_lists": "baseten-performance-client, lists",
    "floor_lists": "floor: receive, and make lists",
}
ARRAYS = {
    "ours_arrays": "electronhub, arrays",
    "baseten_arrays": "baseten-performance-client, arrays",
    "floor_arrays": "floor: receive only",
}
QUERY = ("query_ours", "query_langchain_openai", "query_bare")
IMPORTS = {
    "langchain_core.embeddings.embeddings": ("langchain_electronhub", "langchain_openai"),
    "llama_index.core.base.embeddings.base": ("llama_index_electronhub", "llama_index.embeddings.openai"),
}
GROWTH = (1_000, 10_000, 100_000, 1_000_000)


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


def in_turns(names: Iterable[str], base_url: str, count: int) -> dict[str, list[dict[str, float]]]:
    """Let contenders do the same work, round by round; a peak of memory is that of the first round."""
    workers = {name: Worker(name, base_url) for name in names}
    for worker in workers.values():
        worker.run(WARM_UP)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            measured[name].append(worker.run(count))
    for worker in workers.values():
        worker.close()
    return measured


def alone(name: str, base_url: str, counts: tuple[int, ...]) -> list[dict[str, float]]:
    """Let one work on more and more texts."""
    worker = Worker(name, base_url)
    worker.run(WARM_UP)
    measured = [worker.run(count) for count in counts]
    worker.close()
    return measured


def imports() -> dict[str, list[float]]:
    """Time what an import adds to that of its framework, each in a new process, in turns."""
    script = "import sys, time, importlib as i; i.import_module(sys.argv[1]); t = time.perf_counter(); "
    script += "i.import_module(sys.argv[2]); print(time.perf_counter() - t)"
    added: dict[str, list[float]] = {name: [] for names in IMPORTS.values() for name in names}
    for _ in range(ROUNDS):
        for base, names in IMPORTS.items():
            for name in names:
                command = [sys.executable, "-W", "ignore", "-c", script, base, name]
                added[name].append(float(subprocess.check_output(command, text=True)))
    return added


def seconds(rows: list[dict[str, float]]) -> list[float]:
    """Pick the times."""
    return [row["seconds"] for row in rows]


def ratio(slower: list[float], faster: list[float]) -> float:
    """Compare two contenders round by round."""
    return median(one / other for one, other in zip(slower, faster, strict=True))


def report(found: dict[str, Any]) -> str:
    """Write all figures as Markdown."""
    many = found["bulk"]
    openai, floor = seconds(many["langchain_openai"]), seconds(many["floor_lists"])
    lines = [
        f"{TEXTS:,} texts, 1,536 dimensions:",
        "",
        "| | vectors/s | times langchain-openai | of its floor | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, title in {**LISTS, **ARRAYS}.items():
        own = seconds(many[name])
        base = floor if name in LISTS else seconds(many["floor_arrays"])
        lines.append(
            f"| {title} | {TEXTS / median(own):,.0f} | {ratio(openai, own):.1f} | {ratio(base, own):.2f} | "
            f"{many[name][0]['peak']:.0f} |"
        )
    array, baseten = seconds(many["ours_arrays"]), seconds(many["baseten_arrays"])
    lines += ["", f"Arrays: {ratio(baseten, array):.1f} times baseten-performance-client's.", ""]
    lines += ["| one query | ms | ms of CPU | times the bare post |", "|---|---:|---:|---:|"]
    bare = [row["wall"] for row in found["queries"]["query_bare"]]
    for name, rows in found["queries"].items():
        walls, cpus = [row["wall"] for row in rows], [row["cpu"] for row in rows]
        title = name.removeprefix("query_").replace("_", "-").replace("bare", "a bare httpx post")
        lines.append(f"| {title} | {1e3 * median(walls):.2f} | {1e3 * median(cpus):.2f} | {ratio(walls, bare):.2f} |")
    lines += ["", "| import | adds seconds |", "|---|---:|"]
    lines += [f"| {name} | {median(times):.2f} |" for name, times in found["imports"].items()]
    lines += ["", "| texts of 8 dimensions | seconds | µs a text | requests |", "|---:|---:|---:|---:|"]
    for count, row in zip(GROWTH, found["growth"], strict=True):
        lines.append(
            f"| {count:,} | {row['seconds']:.2f} | {1e6 * row['seconds'] / count:.1f} | {row['requests']:,.0f} |"
        )
    lines += ["", "| `iter_embed` over a generator | seconds | MB above the start |", "|---:|---:|---:|"]
    lines += [
        f"| {count:,} | {row['seconds']:.1f} | {row['peak']:.0f} |"
        for count, row in zip(GROWTH[1:], found["stream"], strict=True)
    ]
    packages = ("langchain-openai", "llama-index-embeddings-openai", "openai", "baseten-performance-client", "httpx")
    machine = ", ".join(f"{name} {version(name)}" for name in packages)
    return "\n".join([*lines, "", f"Python {platform.python_version()}, {os.cpu_count()} cores; {machine}.", ""])


def picture(found: dict[str, Any], path: Path) -> None:
    """Draw the speeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = {**LISTS, **ARRAYS}
    speeds = {name: TEXTS / median(seconds(rows)) for name, rows in found["bulk"].items() if name != "floor_arrays"}
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    colours = {"ours": "#1f6f4a", "floor": "#bbbbbb"}
    for place, (name, speed) in enumerate(reversed(speeds.items())):
        axis.barh(place, speed, color=colours.get(name.split("_")[0], "#8aa4c8"))
        beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        axis.annotate(f"{speed:,.0f}", (speed, place), **beside)
    axis.set_yticks(range(len(speeds)), [titles[name] for name in reversed(speeds)], fontsize=8)
    axis.set_xlabel(f"vectors a second ({TEXTS:,} texts, 1,536 dimensions, a server that answers at once)", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure everything, and write the table and the picture."""
    command = [sys.executable, str(HERE / "server.py")]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    base_url = server.stdout.readline().strip()
    found = {
        "bulk": in_turns((*LISTS, *ARRAYS), base_url, TEXTS),
        "queries": in_turns(QUERY, base_url, QUERIES),
        "imports": imports(),
        "growth": alone("growth_ours", base_url, GROWTH),
        "stream": alone("stream_ours", base_url, GROWTH[1:]),
    }
    server.communicate()
    RESULTS.mkdir(exist_ok=True)
    text = report(found)
    (RESULTS / "speed.md").write_text(text, encoding="utf-8")
    (RESULTS / "speed.json").write_text(json.dumps(found), encoding="utf-8")
    picture(found, RESULTS / "speed.png")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
