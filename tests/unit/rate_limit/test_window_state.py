"""The serialised window: decoded completely or not at all."""

import copy
import zlib
from dataclasses import asdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.cooldown import Cooldown
from electronhub_embeddings._rate_limit.even_spacing import EvenSpacing
from electronhub_embeddings._rate_limit.foreign_share import ForeignShare
from electronhub_embeddings._rate_limit.good_periods import GoodPeriods
from electronhub_embeddings._rate_limit.guessed_limit import GuessedLimit
from electronhub_embeddings._rate_limit.safety_margin import MarginGrowth
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.slots import Slots
from electronhub_embeddings._rate_limit.wait_queue import WaitQueue
from electronhub_embeddings._rate_limit.window_state import (
    VERSION,
    UnreadableStateError,
    decode,
    differ_only_in_time,
    encode,
)

HOLD = 60.1
"""Seconds for which a call that was counted holds its slot."""

WINDOW = SlidingWindow(
    period=61.0,
    margin=0.2,
    margin_growth=MarginGrowth(doublings=1, failures=2, halved=True, good=GoodPeriods(count=3, since=4.0)),
    limit=5,
    guess=GuessedLimit(value=6, proven=7, ceiling=8, failures=9, full=GoodPeriods(count=10, since=11.0)),
    probing=False,
    slots=Slots(in_flight={"a": (12.0, 13.0)}, held={"b": 14.0}),
    updated_at=15.0,
    unknown_until=16.0,
    cooldown=Cooldown(until=17.0, refusals=18),
    foreign=ForeignShare(sightings=[(19.0, 20)], latest=26, absent_since=21.0),
    spacing=EvenSpacing(interactive_until=22.0, documents_until=23.0, last_start=24.0),
    wait_queue=WaitQueue(waiting={"c": 25.0}),
)
"""A window in which nothing is as at the beginning."""

FIELDS_OF_VERSION_1 = [
    "period",
    "margin",
    "margin_growth",
    "margin_growth.doublings",
    "margin_growth.failures",
    "margin_growth.halved",
    "margin_growth.good",
    "margin_growth.good.count",
    "margin_growth.good.since",
    "limit",
    "guess",
    "guess.value",
    "guess.proven",
    "guess.ceiling",
    "guess.failures",
    "guess.full",
    "guess.full.count",
    "guess.full.since",
    "probing",
    "slots",
    "slots.in_flight",
    "slots.held",
    "updated_at",
    "unknown_until",
    "cooldown",
    "cooldown.until",
    "cooldown.refusals",
    "foreign",
    "foreign.sightings",
    "foreign.latest",
    "foreign.absent_since",
    "spacing",
    "spacing.interactive_until",
    "spacing.documents_until",
    "spacing.last_start",
    "wait_queue",
    "wait_queue.waiting",
]
"""Whoever changes this list raises `VERSION`: a process with the other fields must not take it for its own."""

PARTS = {"margin_growth", "guess", "slots", "cooldown", "foreign", "spacing", "wait_queue", "good", "full"}


def paths(fields, before=""):
    """List the names of all fields, including nested ones."""
    for name, value in fields.items():
        yield before + name
        if name in PARTS:
            yield from paths(value, f"{before}{name}.")


def seal(fields, version=VERSION):
    """Serialise fields as a state of a given version."""
    payload = msgspec.msgpack.encode(fields)
    return bytes([version]) + zlib.crc32(payload).to_bytes(4, "big") + payload


def part_with(fields, path):
    """Return the nested object that has a field."""
    for name in path.split(".")[:-1]:
        fields = fields[name]
    return fields, path.rpartition(".")[2]


@pytest.mark.parametrize("window", [SlidingWindow(), WINDOW, SlidingWindow(period=2)], ids=["new", "used", "integer"])
def test_what_is_read_is_what_was_written(window):
    """Every field of every part."""
    assert decode(encode(window)) == window


def test_the_fields_belong_to_a_version():
    """A change of the fields without a new version is noticed here."""
    assert (VERSION, list(paths(asdict(WINDOW)))) == (1, FIELDS_OF_VERSION_1)
    assert decode(seal(asdict(WINDOW))) == WINDOW


@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "missing"])
def test_a_field_that_is_renamed_or_missing_resets_nothing(renamed):
    """A state with a missing or unknown field is rejected as a whole, and the error names the field."""
    for path in FIELDS_OF_VERSION_1:
        fields = asdict(WINDOW)
        part, name = part_with(fields, path)
        value = part.pop(name)
        if renamed:
            part[f"{name}_"] = value
        with pytest.raises(UnreadableStateError) as caught:
            decode(seal(fields))
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "path", ["more", *(f"{part}.more" for part in FIELDS_OF_VERSION_1 if part.split(".")[-1] in PARTS)]
)
def test_a_field_more_is_refused(path):
    """A state with an unknown field is rejected."""
    fields = asdict(WINDOW)
    part, name = part_with(fields, path)
    part[name] = 1
    with pytest.raises(UnreadableStateError, match="more"):
        decode(seal(fields))


def test_a_field_of_another_type_is_refused():
    """A state with a field of another type is rejected."""
    with pytest.raises(UnreadableStateError, match="slots"):
        decode(seal({**asdict(WINDOW), "slots": 1}))


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version):
    """A state of another version is rejected, because the same names may have other meanings."""
    with pytest.raises(UnreadableStateError, match=f"version {version}, not 1"):
        decode(seal(asdict(WINDOW), version))


@given(st.data())
def test_a_damaged_state_is_refused(data):
    """A truncated or changed state is rejected."""
    state = encode(WINDOW)
    place = data.draw(st.integers(0, len(state) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != state[place]))
    for damaged in (state[:place], state[:place] + bytes([other]) + state[place + 1 :]):
        with pytest.raises(UnreadableStateError):
            decode(damaged)


@pytest.mark.parametrize(("state", "why"), [(b"", "empty"), (encode(WINDOW)[:-1], "damaged")])
def test_the_error_says_why_a_state_is_refused(state, why):
    """The warning about a state that is replaced quotes it."""
    with pytest.raises(UnreadableStateError) as caught:
        decode(state)
    assert str(caught.value) == why


@given(st.binary())
def test_whatever_is_no_state_is_refused(state):
    """Arbitrary bytes raise no other error."""
    with pytest.raises(UnreadableStateError):
        decode(state)


def test_states_that_differ_only_in_time():
    """Two states with different times of the last change are equal, as long as nothing else is different."""
    later, changed = copy.deepcopy(WINDOW), copy.deepcopy(WINDOW)
    later.updated_at += 1.0
    changed.slots.held["b"] += 1.0
    assert encode(WINDOW) != encode(later)
    assert differ_only_in_time(encode(WINDOW), encode(later))
    assert not differ_only_in_time(encode(WINDOW), encode(changed))
    assert not differ_only_in_time(encode(WINDOW), encode(SlidingWindow()))
