"""Compressed bodies, in any chunks."""

import gzip
import sys
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._http import decompression
from electronhub_embeddings._http.decompression import CHUNK_BYTES, MAX_WINDOW_LOG, decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.fixture(params=COMPRESS)
def encoding(request):
    """Return each encoding in turn."""
    return request.param


def chunks(content, cuts):
    """Cut bytes into chunks."""
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    return [content[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("encoding", COMPRESS)
@given(st.binary(max_size=200), st.sets(st.integers(0, 200)))
def test_bodies_are_whole(encoding, content, cuts):
    """The content is the same whatever the chunks are."""
    assert b"".join(decompress(chunks(COMPRESS[encoding](content), cuts), encoding)) == content


def test_what_is_not_compressed_passes():
    """Without an encoding, chunks pass as they came."""
    assert list(decompress([b"a", b"b"], "")) == list(decompress([b"a", b"b"], " Identity ")) == [b"a", b"b"]


def test_memory_is_bounded(encoding):
    """What expands comes in pieces, and all of it, also if it came in one chunk."""
    zeros = COMPRESS[encoding](bytes(5 * CHUNK_BYTES))
    pieces = [len(piece) for piece in decompress([zeros], encoding)]
    assert max(pieces) <= CHUNK_BYTES
    assert sum(pieces) == 5 * CHUNK_BYTES


@given(st.sets(st.integers(0, 200)))
def test_zstd_frames_follow_each_other(cuts):
    """A body may consist of several frames, the boundary of which may lie anywhere in a chunk."""
    body = zstd.compress(b"one") + zstd.compress(b"") + zstd.compress(b"two")
    assert b"".join(decompress(chunks(body, cuts), "zstd")) == b"onetwo"


@given(st.data())
def test_truncated_bodies(data):
    """A body that ends early is refused, wherever it ends."""
    for encoding, compress in COMPRESS.items():
        body = compress(b"some content")
        cut = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(ValueError, match="truncated"):
            list(decompress([body[:cut]], encoding))


def test_broken_bodies(encoding):
    """A body that is something else is refused."""
    with pytest.raises(ValueError, match=r"Error|decompress"):
        list(decompress([b"no such thing" * 10], encoding))


@pytest.mark.parametrize("other", ["br", "gzip, gzip", "deflate", "x" * 1000])
def test_what_was_not_asked_for_is_refused(other):
    """Only the encodings of the request are accepted; the message quotes no more than the beginning."""
    with pytest.raises(ValueError, match="was not requested") as caught:
        list(decompress([b""], other))
    assert len(str(caught.value)) < 100


def test_a_large_window_is_refused():
    """A frame cannot make the client allocate more than a response may ask for."""
    options = {zstd.CompressionParameter.window_log: MAX_WINDOW_LOG + 1}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(bytes(1 << (MAX_WINDOW_LOG + 1))) + compressor.flush()
    with pytest.raises(ValueError, match="memory"):
        list(decompress([body], "zstd"))


def test_without_the_fast_library(monkeypatch):
    """Where there is no wheel of it, zlib does the same."""
    monkeypatch.setattr(decompression, "fast_zlib", zlib)
    body = gzip.compress(b"some content")
    assert b"".join(decompress([body], "gzip")) == b"some content"
    with pytest.raises(ValueError, match="truncated"):
        list(decompress([body[:-1]], "gzip"))
    with pytest.raises(ValueError, match="header"):
        list(decompress([b"no such thing"], "gzip"))
