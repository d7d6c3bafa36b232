"""Fits the table of `electronhub_embeddings/_codec/text_weight.py`, and shows what it is worth.

Texts of several kinds are counted with cl100k_base: how often a byte of one class follows one of another, and how many
tokens that makes, by least squares. English and code count three times. Half of the texts of each kind are left out,
and show how far off the tokens of many texts are, if those of 16 or 64 others are known, by bytes and by weight.

    python benchmarks/token_weights.py KIND=FILE …

Each file is divided at empty lines. Python's own modules are added.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from forecast import corpus, count_tokens

from electronhub_embeddings._codec.text_weight import CLASSES, classes_of_bytes, weigh

COUNT_MORE = ("python", "english")
MOST = 4000
"""Texts of a kind."""
DRAWS = 1000


def follow(text: str) -> np.ndarray:
    """Count how often each class follows each other one in a text."""
    classes = classes_of_bytes()[np.frombuffer(f"\0{text}".encode(), np.uint8)].astype(int)
    return np.bincount(classes[:-1] * len(CLASSES) + classes[1:], minlength=len(CLASSES) ** 2)


def fit(kinds: dict[str, list[str]]) -> np.ndarray:
    """Return the tokens for each pair of classes."""
    left, right = np.zeros((len(CLASSES) ** 2,) * 2), np.zeros(len(CLASSES) ** 2)
    for kind, texts in kinds.items():
        counts, tokens = np.array([*map(follow, texts)], float), np.array([*map(count_tokens, texts)], float)
        sizes = np.array([len(text.encode()) for text in texts])
        weights = (3 if kind in COUNT_MORE else 1) / len(texts) / sizes
        left += (counts * weights[:, None]).T @ counts
        right += (counts * weights[:, None]).T @ tokens
    return np.linalg.solve(left + 1e-6 * np.trace(left) / len(left) * np.eye(len(left)), right)


def errors(tokens: np.ndarray, measure: np.ndarray, texts: int) -> np.ndarray:
    """Return how far off all tokens are by a measure, for draws of the texts whose tokens are known."""
    dice = np.random.default_rng(texts)
    drawn = np.array([dice.choice(len(tokens), texts, replace=False) for _ in range(DRAWS)])
    rates = tokens[drawn].sum(axis=1) / measure[drawn].sum(axis=1)
    return abs(rates * measure.sum() / tokens.sum() - 1)


def main() -> None:
    """Print the table, and the errors by kind."""
    kinds = {"python": list(corpus())}
    for argument in sys.argv[1:]:
        kind, path = argument.split("=", 1)
        parts = (part.strip() for part in Path(path).read_text("utf-8", "replace").split("\n\n"))
        kinds[kind] = list(dict.fromkeys(part for part in parts if 60 <= len(part) <= 4000))
    for texts in kinds.values():
        np.random.default_rng(0).shuffle(texts)
    table = fit({kind: texts[:MOST:2] for kind, texts in kinds.items()})
    for row in table.reshape(len(CLASSES), -1).round(2):
        print("    (" + ", ".join(f"{tokens:g}" for tokens in row) + "),")
    print(
        "\n| texts | bytes a token | tokens a weight | 16: within 3 % by bytes | by weight | 64: by bytes | by weight |"
    )
    for kind, texts in kinds.items():
        rest = texts[1:MOST:2]
        tokens = np.array([*map(count_tokens, rest)], float)
        sizes, weights = np.array([len(text.encode()) for text in rest]), np.array([weigh([text]) for text in rest])
        figures = [np.mean(errors(tokens, m, n) < 0.03) for n in (16, 64) for m in (sizes, weights)]
        means = f"{sizes.sum() / tokens.sum():.2f} | {tokens.sum() / weights.sum():.3f}"
        print(f"| {kind} | {means} | {' | '.join(f'{share:.0%}' for share in figures)} |")


if __name__ == "__main__":
    main()
