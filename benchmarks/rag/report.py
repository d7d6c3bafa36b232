"""The figures of a run as a table, and those of one limit as a picture."""

from __future__ import annotations

import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load import LEAD

if TYPE_CHECKING:
    from load import Rules

PACKAGES = ("langchain-openai", "llama-index-embeddings-openai", "openai", "langchain-core", "llama-index-core")
GREEN, RED, ORANGE, BLUE, SHADE = "#2da44e", "#e5534b", "#d98200", "#4493f8", "#e5534b33"
LANES = {"chat": (0, BLUE), "searches": (1, ORANGE), "documents": (2, GREEN)}
"""Where a request is drawn on the time line, and its color; one that carries both is drawn twice."""


def waits(row: dict[str, Any], kind: str) -> list[float]:
    """Return how long people waited, ascending; a call that failed, or was never answered, has waited for ever."""
    asked = [ask for ask in row["people"] if ask["kind"] == kind]
    return sorted(math.inf if ask["error"] or ask["done"] is None else ask["done"] - ask["asked"] for ask in asked)


def percentile(values: list[float], share: float) -> str:
    """Return the smallest value that is not below `share` of all."""
    value = values[math.ceil(share * len(values)) - 1]
    return "never" if value == math.inf else f"{value:.1f}"


def outcome(row: dict[str, Any], begin: float) -> str:
    """Say what became of the ingestion."""
    ingestion = row["ingestion"]
    if ingestion["finished"]:
        return f"{ingestion['done'] - begin:.0f} s"
    if ingestion["error"]:
        return f"failed after {ingestion['done'] - begin:.0f} s"
    return f"unfinished after {row['end'] - begin:.0f} s, {ingestion['vectors'] / row['texts']:.0%}"


def table(rows: list[dict[str, Any]], begin: float) -> str:
    """Write the result as a Markdown table; `begin`: seconds until the ingestion began."""
    lines = [
        "| a minute | | ingestion | shortest | 429s | locked | chat p50 | p95 | search p50 | p95 | failed | lost |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        chat, search = waits(row, "chat"), waits(row, "search")
        lines.append(
            f"| {row['limit']} | {row['contender']} | {outcome(row, begin)} | {row['shortest']:.0f} s | "
            f"{row['refused']} | {row['locked']:.0f} | {percentile(chat, 0.5)} | {percentile(chat, 0.95)} | "
            f"{percentile(search, 0.5)} | {percentile(search, 0.95)} | "
            f"{[*chat, *search].count(math.inf)} of {len(row['people'])} | {row['lost']:,} |"
        )
    return "\n".join(lines)


def footnote() -> str:
    """Say what it was measured with."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {os.cpu_count()} cores; {packages}"


def picture(rows: list[dict[str, Any]], rules: Rules, path: Path) -> None:
    """Draw two time lines for each contender: every request, and below it how long people waited."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.style.use(Path(__file__).parents[1] / "pictures.mplstyle")

    heights = [0.8, 1.2] * len(rows)
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(11, 2.6 * len(rows)), height_ratios=heights, layout="constrained", sharex=True
    )
    begin = LEAD * rules.window
    for row, above, below in zip(rows, axes[::2], axes[1::2], strict=True):
        _draw_requests(above, row, rules)
        _draw_waits(below, row, rules)
        above.set_title(f"{row['contender']}: ingestion {outcome(row, begin)}", fontsize=10, loc="left")
        for axis in (above, below):
            axis.spines[["top", "right"]].set_visible(False)
            axis.axvline(0, color="#888888", linewidth=0.8, linestyle="--", zorder=2)
            axis.axvline(row["shortest"], color="#888888", linewidth=0.8, linestyle="--", zorder=2)
    axes[-1].set_xlim(-1.02 * begin, max(row["end"] for row in rows) - 0.98 * begin)
    figure.supxlabel(
        f"seconds from the start of the ingestion, {rows[0]['limit']} requests a minute      "
        "dashed: its start, and the shortest possible end\n"
        "above: requests, | answered   x refused (429)   shaded: the key is locked      "
        "below: how long people waited for an answer, x for ever   line: one spacing",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)


def _draw_requests(axis: Any, row: dict[str, Any], rules: Rules) -> None:
    begin = LEAD * rules.window
    locked = -math.inf
    for at, kind, limited in row["timeline"]:
        if limited:
            end = min(at + rules.cooldown, row["end"])
            axis.axvspan(max(at, locked) - begin, end - begin, color=SHADE, linewidth=0, zorder=0)
            locked = end
        for lane, color in [LANES[name] for name in LANES if kind in (name, "both" if name != "chat" else name)]:
            mark = {"marker": "x", "color": RED, "markersize": 4} if limited else {"marker": "|", "color": color}
            axis.plot(at - begin, lane, **{"markersize": 10, "zorder": 3, **mark})
    axis.set_yticks([0, 1, 2], ["chat", "searches", "documents"], fontsize=8)
    axis.set_ylim(-0.7, 2.7)


def _draw_waits(axis: Any, row: dict[str, Any], rules: Rules) -> None:
    never = 15 * rules.window
    axis.axhline(rules.window / row["limit"], color="#888888", linewidth=0.8, zorder=1)
    for ask in row["people"]:
        answered = ask["done"] is not None and not ask["error"]
        color = BLUE if ask["kind"] == "chat" else ORANGE
        wait = ask["done"] - ask["asked"] if answered else never
        axis.plot(
            ask["asked"] - LEAD * rules.window,
            wait,
            marker="o" if answered else "x",
            color=color if answered else RED,
            markersize=3 if answered else 4,
            zorder=3,
        )
    axis.set_yscale("log")
    axis.set_ylim(0.5 * rules.latency, 2 * never)
    ticks = [rules.latency / 0.3 * seconds for seconds in (1, 10, 100)]
    axis.set_yticks([*ticks, never], [*(f"{tick:g} s" for tick in ticks), "never"], fontsize=8)
    axis.minorticks_off()
