"""Response bodies, and the turns in which long ones are read."""

import queue
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._http import response_body
from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings._http.response_body import ResponseBody, Turn, Turns
from electronhub_embeddings.errors import InvalidResponseError

MAX_BYTES = 1_000_000


def read(content, cuts=(), max_bytes=MAX_BYTES, expected=0, make=new_memory, **headers):
    """Read a body that arrives in chunks."""
    body = ResponseBody({name.replace("_", "-"): value for name, value in headers.items()}, max_bytes, expected, make)
    edges = [0, *sorted(cuts), len(content)]
    for start, stop in pairwise(edges):
        body.add(content[start:stop])
    return body


@given(
    st.integers(0, 3000), st.sets(st.integers(0, 3000)), st.none() | st.integers(0, 3000), st.booleans(), st.booleans()
)
def test_a_body_is_what_came(size, cuts, expected, announced, packed):
    """The content is complete for any chunks, with or without Content-Length, compression and an expected length."""
    content = bytes(i % 251 for i in range(size))
    headers = {"content_length": str(size)} if announced else {}
    headers |= {"content_encoding": "gzip"} if packed else {}
    cuts = {min(cut, size) for cut in cuts}
    assert bytes(read(content, cuts, expected=expected or 0, **headers).content) == content


def test_an_empty_chunk_is_nothing():
    """Decompression can begin with one, before there is a buffer."""
    assert bytes(read(b"", make=Turn().make_buffer).content) == b""


def test_a_body_of_the_expected_length_is_not_copied():
    """The first buffer is as long as expected, unless that is more than allowed."""
    sizes = []

    def make(size):
        sizes.append(size)
        return new_memory(size)

    read(b"abc" * 100, {100, 200}, expected=300, make=make)
    assert sizes == [300]
    read(b"abc", expected=MAX_BYTES + 1, make=make)
    assert sizes == [300, 0, 3]


def test_a_body_that_ends_early_is_what_came():
    """A body shorter than its Content-Length is not padded."""
    assert bytes(read(b"abc", content_length="500000").content) == b"abc"


@pytest.mark.parametrize("announced", [{}, {"content_length": "100"}, {"content_length": "262144"}])
def test_a_body_longer_than_can_be_meant_is_refused(announced):
    """A body that is too long is rejected at the chunk that exceeds the maximum, whatever its Content-Length."""
    with pytest.raises(InvalidResponseError, match="longer than 262,144 bytes") as caught:
        read(b"a" * 262_145, {262_144}, max_bytes=262_144, **announced)
    assert caught.value.retries == 0


@pytest.mark.parametrize("length", ["", "x", "-1", "1e9", "²", "9" * 5000, str(MAX_BYTES + 1), "9223372036854775807"])
def test_no_room_is_made_for_what_cannot_come(length):
    """An invalid Content-Length, or one above the maximum, is ignored."""
    sizes = []

    def make(size):
        sizes.append(size)
        return new_memory(size)

    assert bytes(read(b"abc", make=make, content_length=length).content) == b"abc"
    assert max(sizes) == len(b"abc")


def enter(turns, events):
    """Take a turn in a thread of its own; return the thread, and the event that ends the turn."""
    leave = threading.Event()

    def work():
        with turns.take() as turn:
            events.put((turn, turn.make_buffer(10)))
            assert leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, leave


def wait_for_another(turns):
    """Wait until a thread waits for its turn."""
    end = time.monotonic() + 10
    while not turns._waiting:
        assert time.monotonic() < end


@pytest.mark.parametrize("count", [1, 2])
def test_long_bodies_are_read_in_turns(count):
    """No more than `count` bodies are read at a time; the next one takes over a buffer of one that is done."""
    turns, events = Turns(count), queue.SimpleQueue()
    first = [enter(turns, events) for _ in range(count)]
    buffers = [events.get(timeout=10)[1] for _ in first]
    assert len({id(buffer) for buffer in buffers}) == count
    other = enter(turns, events)
    wait_for_another(turns)
    assert events.empty()
    first[0][1].set()
    assert any(events.get(timeout=10)[1] is buffer for buffer in buffers)
    for thread, leave in [*first, other]:
        leave.set()
        thread.join(10)


def test_nobody_waits_for_a_slow_network(monkeypatch):
    """After a while, another body is read beside a slow one, into a buffer of its own."""
    monkeypatch.setattr(response_body, "PATIENCE", 0.001)
    turns, events = Turns(1), queue.SimpleQueue()
    both = [enter(turns, events), enter(turns, events)]
    (_, buffer), (_, other) = [events.get(timeout=10) for _ in both]
    assert other is not buffer
    for thread, leave in both:
        leave.set()
        thread.join(10)


def test_everybody_waits_for_vectors_to_become_lists(monkeypatch):
    """A body that is read, but whose vectors take long, is waited for: reading more would only take memory."""
    monkeypatch.setattr(response_body, "PATIENCE", 0.0)
    turns, events = Turns(1), queue.SimpleQueue()
    with turns.take() as turn:
        turn.is_read()
        thread, leave = enter(turns, events)
        wait_for_another(turns)
        assert events.empty()
    assert events.get(timeout=10)
    leave.set()
    thread.join(10)


def test_a_buffer_that_no_body_waits_for_is_released():
    """The buffer is released if no other body is waiting."""
    turns = Turns(1)
    with turns.take() as turn:
        buffer = turn.make_buffer(100)
    with turns.take() as turn:
        assert turn.make_buffer(100) is not buffer
