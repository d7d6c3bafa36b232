"""The slots of an account's calls: in flight, held, free."""

import pytest

from electronhub_embeddings._rate_limit.slots import LATE_ARRIVAL, MAX_HELD_WITHOUT_LIMIT, Slots

HOLD = 60.1


def test_a_slot_is_held_from_when_the_call_was_counted():
    """Not from its start, nor from its end."""
    slots = Slots({"a": (1.0, 71.0)})
    assert slots.complete(9.0, "a", counted=7.0, hold=HOLD) == 1.0
    assert slots == Slots({}, {"a": 7.0 + HOLD})


def test_a_call_without_an_answer_may_still_be_on_its_way():
    """It can be counted some seconds after we gave it up."""
    slots = Slots({"a": (1.0, 71.0)})
    slots.complete(9.0, "a", counted=None, hold=HOLD)
    assert slots.held == {"a": 9.0 + LATE_ARRIVAL + HOLD}


def test_a_call_that_nobody_knows_began_when_it_ended():
    """A store can lose the window while a call is in flight."""
    assert Slots().complete(9.0, "a", counted=7.0, hold=HOLD) == 9.0


def test_which_slots_are_taken():
    """Those in flight, and those held whose time is not over."""
    slots = Slots({"a": (1.0, 71.0)}, {"b": 10.0, "c": 20.0})
    assert [(slots.taken(now), slots.answered(now)) for now in (9.0, 10.0, 19.0, 20.0)] == [
        (3, 2),
        (2, 1),
        (2, 1),
        (1, 0),
    ]


@pytest.mark.parametrize(
    ("share", "calls", "start"),
    [
        (4, 1, 5.0),  # a slot is free
        (3, 1, 10.0),  # the first that is held
        (3, 2, 20.0),
        (3, 3, 0.0 + HOLD),  # the one in flight, if it was counted at once
        (3, 4, 10.0 + HOLD),  # the first further call's own
        (1, 1, 0.0 + HOLD),
        (1, 2, 0.0 + 2 * HOLD),
    ],
)
def test_when_the_last_of_several_calls_can_start(share, calls, start):
    """Each takes the slot that is free first, its own ones among them."""
    slots = Slots({"a": (0.0, 71.0)}, {"b": 10.0, "c": 20.0})
    assert slots.next_start(5.0, share, HOLD, calls) == pytest.approx(start)


def test_nothing_is_held():
    """Nothing is forgotten either."""
    slots = Slots()
    slots.expire(0.0, HOLD, is_limited=True)
    assert slots == Slots()


def test_a_lost_call_holds_its_slot():
    """From when its time was over: it may have been counted until then."""
    slots = Slots({"a": (0.0, 70.0), "b": (0.0, 80.0)})
    slots.expire(70.0, HOLD, is_limited=True)
    assert slots == Slots({"b": (0.0, 80.0)}, {"a": 70.0 + HOLD})


def test_a_slot_is_forgotten_when_no_call_began_before_its_end():
    """The service may count a slot that has ended for a call that is still in flight."""
    slots = Slots({"long": (5.0, 700.0)}, {"a": 5.0, "b": 6.0, "c": 60.0})
    slots.expire(50.0, HOLD, is_limited=True)
    assert slots.held == {"b": 6.0, "c": 60.0}
    slots.complete(50.0, "long", counted=50.0, hold=HOLD)
    slots.expire(50.0, HOLD, is_limited=True)
    assert set(slots.held) == {"c", "long"}


def test_all_are_looked_at_when_the_first_has_ended():
    """It is usually the earliest to end; another one is forgotten together with it."""
    slots = Slots({}, {"a": 20.0, "b": 10.0})
    slots.expire(19.9, HOLD, is_limited=True)
    assert set(slots.held) == {"a", "b"}
    slots.expire(20.0, HOLD, is_limited=True)
    assert slots.held == {}


@pytest.mark.parametrize(
    ("is_limited", "kept"), [(True, MAX_HELD_WITHOUT_LIMIT + 1), (False, MAX_HELD_WITHOUT_LIMIT // 2)]
)
def test_how_many_are_kept(is_limited, kept):
    """Without a limit they only have to be bounded: the newer half stays."""
    slots = Slots({}, {str(i): 100.0 + i for i in range(MAX_HELD_WITHOUT_LIMIT)})
    slots.expire(0.0, HOLD, is_limited=is_limited)
    assert len(slots.held) == MAX_HELD_WITHOUT_LIMIT
    slots.held["last"] = 5000.0
    slots.expire(0.0, HOLD, is_limited=is_limited)
    assert (len(slots.held), next(reversed(slots.held))) == (kept, "last")


def test_two_windows_become_one():
    """A call that has ended in one of them has ended, and is held until the later time."""
    slots = Slots({"a": (0.0, 70.0), "b": (1.0, 71.0)}, {"c": 10.0, "d": 20.0})
    slots.merge(Slots({"c": (0.0, 70.0), "e": (2.0, 72.0)}, {"b": 30.0, "d": 15.0, "c": 12.0}))
    assert slots == Slots({"a": (0.0, 70.0), "e": (2.0, 72.0)}, {"b": 30.0, "c": 12.0, "d": 20.0})


def test_another_period_and_another_clock():
    """Held slots end earlier or later; with the clock, the times of calls in flight move too."""
    slots = Slots({"a": (0.0, 70.0)}, {"b": 10.0})
    slots.prolong(5.0)
    assert slots == Slots({"a": (0.0, 70.0)}, {"b": 15.0})
    slots.shift_clock(-2.0)
    assert slots == Slots({"a": (-2.0, 68.0)}, {"b": 13.0})
