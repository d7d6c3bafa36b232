"""The limit in one picture, for the README and the first page of the site: the figures of `limit.py` at 20 a minute.

    python benchmarks/overview.py       writes docs/pictures/limit.svg from benchmarks/results/limit.json

The picture brings its colors for light and dark, and needs no font of its own. A test holds it equal to the figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "limit.json"
PICTURE = ROOT / "docs" / "pictures" / "limit.svg"

LIMIT, COOLDOWN, SECONDS = 20, 180.0, 190.0
WIDTH, LEFT, TOP, LANE, BAR = 640, 24, 74, 78, 22
LANES = {
    "electronhub, LangChain": "electronhub-embeddings",
    "langchain-openai": "langchain-openai",
    "langchain-openai, full requests, 20 retries": "langchain-openai, tuned",
    "llama-index-embeddings-openai": "llama-index-embeddings-openai",
}
"""What is drawn, and what it is called."""

STYLE = """
    text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 } .name { font-weight: 600 } .small { font-size: 13px; fill: #59636e }
    .middle { text-anchor: middle }
    .paper { fill: #fff; stroke: #d1d9e0 } .axis { stroke: #818b98 } .shade { fill: #ffdcd7 }
    .good { stroke: #1a7f37 } .bad { stroke: #cf222e } .is-good { fill: #1a7f37 } .is-bad { fill: #cf222e }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9198a1 } .paper { fill: #161b22; stroke: #3d444d }
      .axis { stroke: #656c76 } .shade { fill: #4c2024 } .good { stroke: #3fb950 } .bad { stroke: #ff7b72 }
      .is-good { fill: #3fb950 } .is-bad { fill: #ff7b72 }
    }
"""


def draw(rows: list[dict[str, Any]]) -> str:
    """Return the picture as SVG."""
    chosen = {row["contender"]: row for row in rows if row["limit"] == LIMIT}
    texts, bottom = chosen["langchain-openai"]["texts"], TOP + LANE * len(LANES)
    said = "; ".join(f"{title} {_outcome(chosen[name])}" for name, title in LANES.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 66}" role="img">',
        f"  <title>{texts:,} texts at {LIMIT} requests a minute: {said}</title>",
        f"  <style>{STYLE}  </style>",
        f'  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{bottom + 65}" rx="8"/>',
        _text(LEFT, 34, f"The same job: {texts:,} texts, {LIMIT} requests a minute", "title"),
        _text(LEFT, 56, "One request more than the limit allows in a minute, so it takes 60 s at least.", "small"),
    ]
    for place, (name, title) in enumerate(LANES.items()):
        parts += _lane(TOP + LANE * place, title, chosen[name])
    parts.append(f'  <path class="axis" d="M{LEFT} {bottom + 4}H{WIDTH - LEFT}"/>')
    for minute, named in enumerate(("start", "1 min", "2 min", "3 min")):
        at = _x(60.0 * minute)
        beside = "".join(f"M{at} {TOP + LANE * place + 30}v{BAR}" for place in range(len(LANES)))
        parts.append(f'  <path class="axis" stroke-dasharray="2 3" d="{beside}M{at} {bottom + 4}v6"/>')
        parts.append(_text(at + (0 if minute else 8), bottom + 24, named, "small middle"))
    parts += [
        f'  <path class="good" stroke-width="2" d="M{LEFT + 4} {bottom + 39}v12"/>',
        _text(LEFT + 12, bottom + 50, "answered", "small"),
        _cross(LEFT + 96, bottom + 45),
        _text(LEFT + 106, bottom + 50, "refused", "small"),
        f'  <rect class="shade" x="{LEFT + 174}" y="{bottom + 38}" width="24" height="14"/>',
        _text(LEFT + 204, bottom + 50, "the key is locked: 3 minutes after each refusal", "small"),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _lane(top: float, title: str, row: dict[str, Any]) -> list[str]:
    good = [at for at, status in row["timeline"] if status == 200]
    bad = [at for at, status in row["timeline"] if status == 429]
    middle = top + 30 + BAR / 2
    kind = "is-good" if row["finished"] else "is-bad"
    outcome = f'<tspan class="{kind}" dx="10" font-weight="400">{_outcome(row)}</tspan>'
    parts = [_text(LEFT, top + 20, title + outcome, "name")]
    if bad:
        left, right = _x(bad[0]), _x(min(bad[-1] + COOLDOWN, SECONDS))
        parts.append(f'  <rect class="shade" x="{left}" y="{top + 30}" width="{right - left:.1f}" height="{BAR}"/>')
    ticks = "".join(f"M{_x(at)} {top + 30}v{BAR}" for at in good)
    return [*parts, f'  <path class="good" stroke-width="2" d="{ticks}"/>', *(_cross(_x(at), middle) for at in bad)]


def _outcome(row: dict[str, Any]) -> str:
    if row["finished"]:
        refused, lost = (row[what] or "nothing" for what in ("refused", "lost"))
        return f"finished in {row['seconds']:.0f} s, {refused} refused, {lost} lost"
    return f"failed after {row['seconds']:.0f} s, {row['lost']:,} paid vectors lost"


def _x(seconds: float) -> float:
    return round(LEFT + seconds / SECONDS * (WIDTH - 2 * LEFT), 1)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'  <text class="{kind}" x="{x}" y="{y}">{text}</text>'


def _cross(x: float, y: float) -> str:
    return f'  <path class="bad" stroke-width="2" d="M{x - 4} {y - 4}l8 8m-8 0l8 -8"/>'


if __name__ == "__main__":
    PICTURE.write_text(draw(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
