"""Finds the text that causes a rejection, by bisection, if the error does not name the text.

Invariants:
- One request at a time: the other half waits until the fate of the first is known. Finding one text among n takes
  1 + log2(n) requests after the refusal; whoever was only in its company then travels again.
- The request itself is at fault, and every text of it fails, when single texts are refused with the words of the whole
  and nothing was accepted: n texts have then cost at most 2·log2(n) requests (3 for two texts).
- Every path ends: each probe is smaller than what it is taken from, or comes from a shrinking rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.bad_request_cause import same_words
from electronhub_embeddings._scheduling.batch import Slice, count_texts, halve

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.errors import BadRequestError, ElectronHubError

MAX_REFUSED_ALONE = 3
"""Single texts refused in the words of the whole before the request is taken to be at fault: one alone may be the
guilty one, standing first."""

FEW_TEXTS = 5
"""Up to so many texts two are enough: a third would cost more than 2·log2(n) requests."""


@dataclass
class Findings:
    """The result of a finished search."""

    guilty: list[tuple[Slice, ElectronHubError]] = field(default_factory=list["tuple[Slice, ElectronHubError]"])
    """Single texts, each with the refusal of its own."""
    innocent: list[Slice] = field(default_factory=list["Slice"])
    """Texts that were not refused on their own: they travel again."""
    request_refusal: BadRequestError | None = None
    """The refusal of the request itself, whatever its texts; all of them are in `guilty` then."""


class Bisection:
    """Splits what was refused until one text is found.

    Args:
        slices: The refused batch, of two inputs at least.
        error: The refusal.
        blames_text: Whether its words say that a text is at fault, so that the request itself cannot be.
        suspects_reference: Whether the reference text was in it. If no text is at fault, that one is.
    """

    def __init__(
        self, slices: list[Slice], error: BadRequestError, *, blames_text: bool, suspects_reference: bool
    ) -> None:
        self.suspects_reference = suspects_reference
        """Whether the reference text may be at fault: until it was accepted."""
        self.accepted = False
        """Whether the service has accepted a part, so that the request itself is not at fault."""
        self.probe: list[Slice] = []
        """What is to be sent next, or is on the wire."""
        self.due: float | None = -math.inf
        """When the probe may be sent; None: it is on the wire."""
        self._sibling: list[Slice] = []
        """The other half, which holds the text at fault if the probe is accepted."""
        self._waiting: list[list[Slice]] = []
        self._refused_alone: list[tuple[Slice, ElectronHubError]] = []
        self._error = error
        self._blames_text = blames_text
        self._enough = 2 if count_texts(slices) <= FEW_TEXTS else MAX_REFUSED_ALONE
        self._divide(slices)

    @property
    def slices(self) -> list[Slice]:
        """All texts that wait for the end of the search, the probe's included."""
        waiting = [part for group in self._waiting for part in group]
        return [*self.probe, *self._sibling, *waiting, *(part for part, _ in self._refused_alone)]

    def add(self, slices: list[Slice]) -> None:
        """Let another refused batch wait for the end of the search: the same fault may be behind it."""
        self._waiting.append(slices)

    def probe_accepted(self, *, beside_reference: bool) -> Findings | None:
        """Note that the probe was accepted; return what was found, if the search is over."""
        self.accepted = True
        self.suspects_reference = self.suspects_reference and not beside_reference
        suspects, self._sibling = self._sibling, []
        if not suspects:
            return self._finish()
        self._divide(suspects)
        return None

    def probe_refused(self, slices: list[Slice], error: BadRequestError) -> Findings | None:
        """Note that the probe, given as `slices`, was refused; return what was found, if the search is over."""
        self._put_sibling_back()
        if count_texts(slices) > 1:
            self._divide(slices)
            return None
        self._refused_alone.append((slices[0], error))
        if self.accepted or self._blames_text or not same_words(error, self._error):
            return self._finish()
        if not self._waiting:
            return self._finish()
        if len(self._refused_alone) >= self._enough:
            return self._finish(request_at_fault=True)
        self.probe = [self._take_single()]
        return None

    def probe_failed(self) -> Findings:
        """End the search without a finding: the probe failed for a reason that has nothing to do with its texts."""
        self._put_sibling_back()
        return self._finish()

    def drop(self, unwanted: Callable[[Slice], bool]) -> list[Slice]:
        """Take out, and return, texts that wait and are not wanted any more; a probe on the wire stays as it is."""
        probe = [] if self.due is None else self.probe
        gone = [part for group in (probe, self._sibling, *self._waiting) for part in group if unwanted(part)]
        self.probe = [part for part in self.probe if part not in gone]
        self._sibling = [part for part in self._sibling if not unwanted(part)]
        groups = ([part for part in group if not unwanted(part)] for group in self._waiting)
        self._waiting = [group for group in groups if group]
        return gone

    def _divide(self, slices: list[Slice]) -> None:
        self.probe, self._sibling = halve(slices) if count_texts(slices) > 1 else (slices, [])

    def _put_sibling_back(self) -> None:
        if self._sibling:
            self._waiting.append(self._sibling)
        self._sibling = []

    def _take_single(self) -> Slice:
        """Take one text from the largest group: the farther away, the less likely is a guilty neighbour."""
        group = max(self._waiting, key=count_texts)
        *rest, last = group
        head, single = last.split(len(last) - 1)
        self._waiting.remove(group)
        if remaining := [*rest, *([head] if len(head) else [])]:
            self._waiting.append(remaining)
        return single

    def _finish(self, *, request_at_fault: bool = False) -> Findings:
        waiting = [part for group in self._waiting for part in group]
        waiting.sort(key=lambda part: (part.call.number, part.start))
        guilty, self._waiting, self._refused_alone = self._refused_alone, [], []
        if request_at_fault:
            everything = [*(part for part, _ in guilty), *waiting]
            return Findings([(part, self._error) for part in everything], [], self._error)
        return Findings(guilty, waiting)
