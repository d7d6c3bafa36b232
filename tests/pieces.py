"""Calls and pieces of calls, as packing sees them, without futures and threads."""

from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from hypothesis import strategies as st

from electronhub_embeddings.packing import Piece


@dataclass(eq=False)
class Call:
    """A call of named texts; `sizes` are their bytes."""

    name: str
    sizes: list
    failed: bool = False

    def __post_init__(self):
        self.ends = list(accumulate(self.sizes))

    def whole(self):
        """Return all its texts as one piece."""
        return Piece(self, 0, len(self.sizes))


def call(count, name="a", size=1):
    """Return a call of texts of one size."""
    return Call(name, [size] * count)


def texts(pieces):
    """List the texts of pieces as (call, position)."""
    return [(piece.job.name, i) for piece in pieces for i in range(piece.start, piece.stop)]


@st.composite
def waiting(draw, most=8):
    """Draw a queue of pieces of several calls, each from somewhere to somewhere."""
    pieces = deque()
    for number in range(draw(st.integers(1, 5))):
        sizes = draw(st.lists(st.integers(1, 50), min_size=1, max_size=most))
        start = draw(st.integers(0, len(sizes) - 1))
        stop = draw(st.integers(start + 1, len(sizes)))
        pieces.append(Piece(Call(str(number), sizes), start, stop))
    return pieces
