"""A batch: the slices of calls that share one request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES, REFERENCE_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._scheduling.call import Call


@dataclass(frozen=True, eq=False)
class Slice:
    """A range of one call's texts, from `start` to `stop` (exclusive), that are queued or sent together."""

    call: Call
    start: int
    stop: int
    attempts: int = 0
    """Attempts that these texts were part of."""
    refusals_beside: int = 0
    """Times that another text of the same call was rejected in the same batch."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def size(self) -> int:
        """Bytes of these texts."""
        ends = self.call.inputs.ends
        return ends[self.stop - 1] - (ends[self.start - 1] if self.start else 0)

    @property
    def before(self) -> int:
        """Bytes of the call's texts before these."""
        return self.call.inputs.ends[self.start - 1] if self.start else 0

    def split(self, count: int) -> tuple[Slice, Slice]:
        """Cut off the first `count` texts."""
        middle = self.start + count
        return replace(self, stop=middle), replace(self, start=middle)


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that are sent in one request."""

    config: RequestConfig
    """The request configuration."""
    slices: list[Slice]
    slot: str
    """The name of its slot in the rate limiter's window."""
    encoding_format: str
    """The encoding requested for the vectors."""
    blocked: float = 0.0
    """Seconds for which the scheduler had been blocked by the limit when the batch was formed."""
    is_probe: bool = False
    """Whether the batch was sent to find out which text is at fault."""
    reference_for: Slice | None = None
    """The slice because of which the reference text travels as well, as the last input; None: it does not."""
    is_unchecked: bool = False
    """Whether the reference text should travel, but has no room; the vectors are not written to a cache."""

    @property
    def texts(self) -> list[str]:
        """The inputs of the request, in the order in which they are sent."""
        texts = [text for part in self.slices for text in part.call.inputs.texts[part.start : part.stop]]
        return texts if self.reference_for is None else [*texts, REFERENCE_TEXT]

    @property
    def inputs(self) -> int:
        """The number of inputs of the request."""
        return sum([part.stop - part.start for part in self.slices]) + (self.reference_for is not None)

    @property
    def size(self) -> int:
        """Bytes of all inputs."""
        return sum(part.size for part in self.slices) + (self.reference_for is not None) * REFERENCE_BYTES

    def is_reference(self, position: int | None) -> bool:
        """Return whether the input at a position is the reference text."""
        return self.reference_for is not None and position == count_texts(self.slices)

    def shares(self, tokens: int) -> list[int]:
        """Divide tokens among the slices in proportion to their size (largest remainder method)."""
        if len(self.slices) == 1:
            return [tokens]
        return divide(tokens, [part.size + (part is self.reference_for) * REFERENCE_BYTES for part in self.slices])


def count_texts(slices: Sequence[Slice]) -> int:
    """Count the texts of slices."""
    return sum([part.stop - part.start for part in slices])  # runs for every batch: avoids a call per slice


def halve(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Split the texts of a batch into two halves, in order; the first half is the smaller one."""
    left: list[Slice] = []
    right: list[Slice] = []
    room = count_texts(slices) // 2
    for part in slices:
        count = min(room, len(part))
        room -= count
        if count == len(part):
            left.append(part)
        elif count == 0:
            right.append(part)
        else:
            head, tail = part.split(count)
            left.append(head)
            right.append(tail)
    return left, right


def divide(total: int, weights: Sequence[int]) -> list[int]:
    """Divide an integer in proportion to weights, into parts that add up to it (largest remainder method)."""
    whole = sum(weights) or 1
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts
