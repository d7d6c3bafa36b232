"""The limiter as the line meets it: what a slot costs in gathering time, and whose errors are whose."""

import logging

import pytest

from electronhub_embeddings.gate import GATHER, Gate
from electronhub_embeddings.headers import Report
from electronhub_embeddings.limits import Pause, Window
from electronhub_embeddings.stores.memory import MemoryStore

HOLD = 60.1
"""Seconds for which a call that was counted holds its slot."""


class Kept(MemoryStore):
    """A store that fails when told to, and notes that it was closed."""

    def __init__(self, window=None):
        super().__init__(window, clock=lambda: 7.0)
        self.down = False
        self.closed = 0

    def update(self, change):
        """Apply the change, or fail."""
        if self.down:
            raise OSError("it is gone")
        return super().update(change)

    def close(self):
        """Note it."""
        self.closed += 1


def told(limit=None, **fields):
    """Return a store whose window was told a limit, or that there is none."""
    return Kept(Window(limit=limit, probing=False, **fields))


def opened(store):
    """Return a gate of a store that is somebody else's."""
    return Gate(store, owns_store=False)


def test_a_slot_is_taken_from_the_store():
    """A slot that is free is in the store's window from then on, until its lease ends."""
    store = told(1)
    assert opened(store).take("a", lease=70.0, cap=None) is None
    assert store.update(lambda window, _: window.flying) == {"a": (7.0, 77.0)}


def test_no_slot_is_free():
    """The pause that the window asks for is handed on, and nothing is taken."""
    store = told(1, held={"a": 17.0})
    assert opened(store).take("b", lease=70.0, cap=None) == Pause(10.0, "rate limit")
    assert store.update(lambda window, _: window.flying) == {}


def test_a_cap_counts_like_a_limit():
    """The caller's own limit is kept where the service allows more."""
    gate = opened(told(100))
    assert [gate.take(slot, lease=70.0, cap=2) is None for slot in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    ("window", "cap", "gap"),
    [
        (Window(limit=5, probing=False), None, GATHER * 60 / 5),
        (Window(limit=5, probing=False, period=2.0), None, GATHER * 2 / 5),
        (Window(limit=5, probing=False), 3, GATHER * 60 / 3),
        (Window(limit=3, probing=False), 5, GATHER * 60 / 3),
        (Window(probing=False), 4, GATHER * 60 / 4),
        (Window(limit=5), None, GATHER * 60 / 5),
        (Window(), None, 0.0),
        (Window(probing=False), None, None),
    ],
    ids=["limit", "short period", "lower cap", "higher cap", "cap alone", "probing", "unknown", "no limit"],
)
def test_the_gap(window, cap, gap):
    """Texts gather for a share of what a slot is worth, not before a limit is known; None: there is none."""
    gate = opened(Kept(window))
    assert gate.gap is None
    gate.take("a", lease=70.0, cap=cap)
    assert gate.gap == (None if gap is None else pytest.approx(gap))


def test_the_gap_is_learned_also_where_no_slot_is_free():
    """A pause teaches the limit as well."""
    gate = opened(told(1, held={"a": 17.0}))
    gate.take("b", lease=70.0, cap=None)
    assert pytest.approx(GATHER * 60) == gate.gap


def test_a_store_that_fails_gives_no_slot():
    """What the store raises is the caller's to handle; without a count nothing may be sent."""
    store = told(5)
    store.down = True
    with pytest.raises(OSError, match="it is gone"):
        opened(store).take("a", lease=70.0, cap=None)


def test_settling_changes_the_window():
    """The change is applied on the store's clock."""
    store = told(5)
    gate = opened(store)
    gate.take("a", lease=70.0, cap=None)
    gate.settle(lambda window, now: window.settle(now, "a", Report(), counted=now, good=True))
    assert store.update(lambda window, _: (window.flying, window.held)) == ({}, {"a": pytest.approx(7.0 + HOLD)})


def test_settling_never_raises(caplog):
    """When the store fails, or the change does, it is logged and the slot's lease ends it some time."""
    store = told(5)
    gate = opened(store)
    gate.take("a", lease=70.0, cap=None)
    gate.settle(lambda *_: 1 / 0)
    store.down = True
    gate.settle(lambda window, _: window.give_back("a"))
    store.down = False
    assert list(store.update(lambda window, _: window.flying)) == ["a"]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "the rate limit store failed")
    ] * 2


def test_no_forecast_before_an_answer():
    """While the limit is not known it is too early to tell."""
    assert opened(Kept()).forecast([1, 100], cap=None) is None
    assert opened(Kept(Window(limit=5))).forecast([1, 100], cap=3) is None


def test_a_forecast_for_each_number_of_starts():
    """Each wait is that of the last start, with the slots that are taken, and takes none itself."""
    store = told(2, held={"a": 17.0})
    forecast = opened(store).forecast([1, 2, 3, 5], cap=None)
    assert forecast == pytest.approx([0.0, 10.0, HOLD, 2 * HOLD])
    assert store.update(lambda window, _: (window.flying, list(window.held))) == ({}, ["a"])


def test_a_forecast_keeps_to_the_cap():
    """The caller's own limit makes waits longer, and makes some where the service has none."""
    assert opened(told(10)).forecast([4], cap=2) == pytest.approx([HOLD])
    assert opened(told()).forecast([4, 100], cap=None) == [0.0, 0.0]
    assert opened(told()).forecast([4], cap=2) == pytest.approx([HOLD])


def test_a_store_that_fails_gives_no_forecast():
    """What the store raises is the caller's to handle."""
    store = told(5)
    store.down = True
    with pytest.raises(OSError, match="it is gone"):
        opened(store).forecast([1], cap=None)


@pytest.mark.parametrize("owned", [True, False])
def test_a_store_is_closed_by_its_owner(owned):
    """A store that was opened from a path goes with the gate; one that was handed in stays open."""
    store = Kept()
    Gate(store, owns_store=owned).close()
    assert store.closed == owned
