"""The figures of a run: what is promised, tables, and a picture.

Speeds are medians of the rounds, ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

TEXTS = 10_000
DIMENSIONS = 1536
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
LISTS = {
    "ours_langchain": "electronhub, LangChain",
    "ours_langchain_async": "electronhub, LangChain, async",
    "ours_llama_index": "electronhub, LlamaIndex",
    "langchain_openai": "langchain-openai",
    "llama_index_openai": "llama-index-embeddings-openai",
    "baseten_lists": "baseten-performance-client, lists",
    "floor_lists": "floor: receive, and make lists",
    "floor_llama_index": "the same floor below LlamaIndex",
}
ARRAYS = {
    "ours_arrays": "electronhub, arrays",
    "baseten_arrays": "baseten-performance-client, arrays",
    "floor_arrays": "floor: receive only",
}
FLOORS = {"ours_llama_index": "floor_llama_index", "llama_index_openai": "floor_llama_index"}


def counted(rows: list[dict[str, float]], what: str = "seconds") -> list[float]:
    """Pick a figure of all jobs that count: the first was to warm up."""
    return [row[what] for row in rows[1:]]


def ratio(slower: list[float], faster: list[float]) -> float:
    """Compare two contenders round by round."""
    return median(one / other for one, other in zip(slower, faster, strict=True))


def claims(found: dict[str, Any]) -> list[tuple[str, float, str, float]]:
    """List what is promised: what it is, what was measured, "at least" or "at most", and the bound."""
    many, asked = found["bulk"], found["queries"]
    took = {name: counted(rows) for name, rows in many.items()}
    wall = {name: counted(rows, "wall") for name, rows in asked.items()}
    cpu = {name: counted(rows, "cpu") for name, rows in asked.items()}
    added = {name: median(times) for name, times in found["imports"].items()}
    arrays, lists = TEXTS * DIMENSIONS * 4e-6, TEXTS * (DIMENSIONS * 32 + 56) * 1e-6
    per_text = [1e6 * row["seconds"] / count for count, row in zip(GROWTH, found["growth"], strict=True)]
    stream = [row["peak"] for row in found["stream"]]
    return [
        ("LangChain, to langchain-openai", ratio(took["langchain_openai"], took["ours_langchain"]), "least", 2.7),
        ("LangChain, to its floor", ratio(took["floor_lists"], took["ours_langchain"]), "least", 0.85),
        ("LangChain async, to its floor", ratio(took["floor_lists"], took["ours_langchain_async"]), "least", 0.85),
        ("LlamaIndex, to its floor", ratio(took["floor_llama_index"], took["ours_llama_index"]), "least", 0.85),
        ("arrays, to baseten's", ratio(took["baseten_arrays"], took["ours_arrays"]), "least", 3.0),
        ("arrays, to langchain-openai", ratio(took["langchain_openai"], took["ours_arrays"]), "least", 12.0),
        ("MB at the peak, arrays", many["ours_arrays"][0]["peak"], "most", 1.2 * arrays + 100),
        ("MB at the peak, lists", many["ours_langchain"][0]["peak"], "most", 1.2 * lists + 100),
        ("a query, to a bare post", ratio(wall["query_ours"], wall["query_bare"]), "most", 1.5),
        ("its CPU, to a bare post", ratio(cpu["query_ours"], cpu["query_bare"]), "most", 1.5),
        ("a query, to langchain-openai", ratio(wall["query_ours"], wall["query_langchain_openai"]), "most", 1.0),
        ("its CPU, to langchain-openai", ratio(cpu["query_ours"], cpu["query_langchain_openai"]), "most", 1.0),
        ("seconds added by the import, LangChain", added["langchain_electronhub"], "most", 0.15),
        ("seconds added by the import, LlamaIndex", added["llama_index_electronhub"], "most", 0.15),
        ("µs a text, of a million short vectors", per_text[-1], "most", 5.0),
        ("that, to a hundred thousand", per_text[-1] / per_text[-2], "most", 1.5),
        (f"MB more for `iter_embed` over {GROWTH[-1]:,}, than {GROWTH[-2]:,}", stream[-1] - stream[-2], "most", 20.0),
    ]


def promises(claims: list[tuple[str, float, str, float]]) -> list[str]:
    """Write a table of what is promised, and whether it was kept."""
    lines = ["| promised | measured | at | |", "|---|---:|---:|---|"]
    for what, figure, kind, bound in claims:
        met = figure >= bound if kind == "least" else figure <= bound
        lines.append(f"| {what} | {figure:,.2f} | {kind} {bound:,.2f} | {'met' if met else '**missed**'} |")
    return lines


def report(found: dict[str, Any]) -> str:
    """Write all figures as Markdown."""
    many = found["bulk"]
    openai = counted(many["langchain_openai"])
    lines = promises(claims(found))
    lines += [
        "",
        f"{TEXTS:,} texts, {DIMENSIONS:,} dimensions:",
        "",
        "| | vectors/s | times langchain-openai | of its floor | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, title in {**LISTS, **ARRAYS}.items():
        own = counted(many[name])
        base = counted(many["floor_arrays" if name in ARRAYS else FLOORS.get(name, "floor_lists")])
        lines.append(
            f"| {title} | {TEXTS / median(own):,.0f} | {ratio(openai, own):.1f} | {ratio(base, own):.2f} | "
            f"{many[name][0]['peak']:.0f} |"
        )
    share = 1 - ratio(counted(many["floor_lists"]), counted(many["floor_llama_index"]))
    lines += ["", f"LlamaIndex's own batches and events take {share:.0%} of the time of its floor.", ""]
    lines += ["| one query | ms | ms of CPU | times the bare post |", "|---|---:|---:|---:|"]
    bare = counted(found["queries"]["query_bare"], "wall")
    for name, rows in found["queries"].items():
        walls, cpus = counted(rows, "wall"), counted(rows, "cpu")
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

    plt.style.use(Path(__file__).parents[1] / "pictures.mplstyle")

    titles = {**LISTS, **ARRAYS}
    speeds = {name: TEXTS / median(counted(rows)) for name, rows in found["bulk"].items() if name != "floor_arrays"}
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    colours = {"ours": "#2da44e", "floor": "#8c959f"}
    for place, (name, speed) in enumerate(reversed(speeds.items())):
        axis.barh(place, speed, color=colours.get(name.split("_")[0], "#6699cc"))
        beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        axis.annotate(f"{speed:,.0f}", (speed, place), **beside)
    axis.set_yticks(range(len(speeds)), [titles[name] for name in reversed(speeds)], fontsize=8)
    axis.set_xlabel(f"vectors a second ({TEXTS:,} texts, 1,536 dimensions, a server that answers at once)", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
