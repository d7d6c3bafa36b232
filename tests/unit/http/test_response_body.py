"""Response bodies, and the lock under which long ones are read one at a time."""

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._http import response_body
from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings._http.response_body import DecodeLock, ResponseBody
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


def test_long_bodies_are_read_one_at_a_time():
    """The next body is read after the first one is done, and reuses its buffer."""
    lock, first_in, first_out, order = DecodeLock(), threading.Event(), threading.Event(), []

    def first():
        with lock.hold() as make:
            order.append(("first", make(10)))
            first_in.set()
            assert first_out.wait(10)
            order.append("first is done")

    def second():
        assert first_in.wait(10)
        waiting.set()
        with lock.hold() as make:
            order.append(("second", make(5)))

    waiting = threading.Event()
    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    assert waiting.wait(10)
    while not lock._waiting:
        pass
    first_out.set()
    for thread in threads:
        thread.join(10)
    (_, buffer), done, (_, same) = order
    assert done == "first is done"
    assert same is buffer


def test_whoever_waited_long_goes_ahead_with_a_buffer_of_its_own(monkeypatch):
    """A slow connection does not block other readers, and no two bodies share a buffer."""
    monkeypatch.setattr(response_body, "DECODE_LOCK_TIMEOUT", 0.001)
    lock = DecodeLock()
    with lock.hold() as make:
        buffer = make(100)
        other = []

        def hasty():
            with lock.hold() as make:
                other.append(make(100))

        thread = threading.Thread(target=hasty)
        thread.start()
        thread.join(10)
        assert make(100) is buffer
    assert other[0] is not buffer


def test_a_buffer_that_no_body_waits_for_is_released():
    """The buffer is released if no other body is waiting."""
    lock = DecodeLock()
    with lock.hold() as make:
        buffer = make(100)
    with lock.hold() as make:
        assert make(100) is not buffer
