"""The same as run.py over the wire that users have: TLS, an edge that compresses, and a round trip of 40 ms.

python benchmarks/speed/wire.py         writes benchmarks/results/wire.md and wire.json
"""

from __future__ import annotations

import json
import sys
from statistics import median
from typing import Any

from report import DIMENSIONS, TEXTS, counted, promises, ratio
from run import QUERIES, QUERY, RESULTS, alone, in_turns, server

ROUNDS = 2
WIRES = {
    "service": "as the service: TLS, compressed, 40 ms",
    "edge": "TLS, compressed with zstd",
    "gzip": "TLS, compressed with gzip",
    "tls": "TLS",
}
FLOORS = {"tls": "floor_arrays", "edge": "floor_zstd", "gzip": "floor_gzip", "service": "floor_zstd"}
CONTENDERS = ("ours_arrays", "ours_langchain", "langchain_openai")
MEMORY = {"memory_ours": 30, "memory_langchain_openai": 10}
"""Calls of 10,000 texts, one after the other."""


def claims(found: dict[str, Any]) -> list[tuple[str, float, str, float]]:
    """List what is promised, as in report.py."""
    took = {wire: {name: counted(rows) for name, rows in rows.items()} for wire, rows in found["wires"].items()}
    tls, edge, gzip = took["tls"], took["edge"], took["gzip"]
    wall = {name: counted(rows, "wall") for name, rows in found["queries"].items()}
    ours, theirs = found["memory"].values()
    return [
        ("TLS: arrays, to the floor", ratio(tls["floor_arrays"], tls["ours_arrays"]), "least", 0.55),
        ("TLS: LangChain, to its floor", ratio(tls["floor_lists"], tls["ours_langchain"]), "least", 0.85),
        ("TLS: LangChain, to langchain-openai", ratio(tls["langchain_openai"], tls["ours_langchain"]), "least", 3.0),
        ("zstd: arrays, to the floor", ratio(edge["floor_zstd"], edge["ours_arrays"]), "least", 0.75),
        ("zstd: arrays, to langchain-openai", ratio(edge["langchain_openai"], edge["ours_arrays"]), "least", 5.0),
        ("gzip: arrays, to the floor", ratio(gzip["floor_gzip"], gzip["ours_arrays"]), "least", 0.75),
        ("gzip: arrays, to langchain-openai", ratio(gzip["langchain_openai"], gzip["ours_arrays"]), "least", 5.0),
        ("TLS: a query, to a bare post", ratio(wall["query_ours"], wall["query_bare"]), "most", 1.25),
        ("peak memory of lists, to langchain-openai's", ours["peak"] / theirs["peak"], "most", 1.0),
        ("peak of 30 calls, to that of the first", ours["peak"] / ours["first"], "most", 1.02),
    ]


def report(found: dict[str, Any]) -> str:
    """Write all figures as Markdown."""
    lines = [
        f"Vectors a second ({TEXTS:,} texts, {DIMENSIONS:,} dimensions), and seconds of CPU for a million lists:",
        "",
        "| over | arrays | of the floor | LangChain | langchain-openai | times | CPU | langchain-openai's |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for wire, title in WIRES.items():
        took = {name: counted(rows) for name, rows in found["wires"][wire].items()}
        arrays, ours, theirs = (took[name] for name in CONTENDERS)
        speeds = [f"{TEXTS / median(seconds):,.0f}" for seconds in (arrays, ours, theirs)]
        cpu = [median(counted(found["wires"][wire][name], "cpu")) for name in CONTENDERS[1:]]
        cells = [
            title,
            speeds[0],
            f"{ratio(took[FLOORS[wire]], arrays):.2f}",
            *speeds[1:],
            f"{ratio(theirs, ours):.1f}",
            *(f"{1e6 / TEXTS * seconds:.0f}" for seconds in cpu),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *promises(claims(found)), ""]
    lines += ["| one query over TLS | ms | ms of CPU | times the bare post |", "|---|---:|---:|---:|"]
    bare = counted(found["queries"]["query_bare"], "wall")
    for name, rows in found["queries"].items():
        walls, cpus = counted(rows, "wall"), counted(rows, "cpu")
        title = name.removeprefix("query_").replace("_", "-").replace("bare", "a bare httpx post")
        lines.append(f"| {title} | {1e3 * median(walls):.2f} | {1e3 * median(cpus):.2f} | {ratio(walls, bare):.2f} |")
    lines += [
        "",
        f"| calls for {TEXTS:,} lists | MB above the start, in the first | at the peak of all |",
        "|---|---:|---:|",
    ]
    for name, row in found["memory"].items():
        title = name.removeprefix("memory_").replace("_", "-")
        lines.append(f"| {MEMORY[name]}, {title} | {row['first']:.0f} | {row['peak']:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the table."""
    with server() as addresses:
        found = {
            "wires": {
                name: in_turns(
                    (*CONTENDERS, FLOORS[name], *(["floor_lists"] if name == "tls" else [])),
                    addresses[name],
                    TEXTS,
                    ROUNDS,
                )
                for name in WIRES
            },
            "queries": in_turns(QUERY, addresses["tls"], QUERIES, ROUNDS),
            "memory": {name: alone(name, addresses["tls"], (calls,))[0] for name, calls in MEMORY.items()},
        }
    text = report(found)
    (RESULTS / "wire.md").write_text(text, encoding="utf-8")
    (RESULTS / "wire.json").write_text(json.dumps(found), encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
