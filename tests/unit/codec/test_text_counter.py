"""Counting texts in parts gives what preparing all of them at once would give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.distinct_texts import TextInputs, prepare_texts
from electronhub_embeddings._codec.text_counter import TextCounter
from electronhub_embeddings._codec.text_weight import weigh
from electronhub_embeddings.errors import InputError

PARTS = st.lists(st.lists(st.sampled_from(["a", "bb", "é", "a longer one", "漢字"]) | st.text("xyz", min_size=1)))


@given(PARTS, st.sampled_from(["", "passage: ", "ü"]))
def test_parts_count_like_the_whole(parts, prefix):
    """Texts, distinct texts, their order and their sizes are those of `prepare_texts`."""
    counter = TextCounter(prefix)
    for part in parts:
        counter.add(part)
    whole = prepare_texts([text for part in parts for text in part], prefix)
    assert (counter.texts, counter.distinct) == (len(whole), len(whole.texts))
    assert list(counter.to_send.ends) == list(whole.ends)
    assert len(counter.to_send) == len(whole.texts)
    assert counter.weight == pytest.approx(sum(weigh([text]) for text in whole.texts), rel=0.5, abs=1)


def test_cached_texts_are_not_to_be_sent():
    """Each distinct text is looked up once; those that are known are counted and left out."""
    looked_up = []

    def recall(inputs):
        looked_up.append(list(inputs.texts))
        order = sorted(range(len(inputs.texts)), key=lambda position: inputs.texts[position] not in {"bb", "dddd"})
        known = sum(text in {"bb", "dddd"} for text in inputs.texts)
        return known, inputs.reordered(order)

    counter = TextCounter("", recall)
    for part in (["a", "bb"], ["bb", "ccc", "dddd"], ["a", "bb"]):
        counter.add(part)
    assert looked_up == [["a", "bb"], ["ccc", "dddd"]]
    assert (counter.texts, counter.distinct, counter.cached) == (7, 4, 2)
    assert list(counter.to_send.ends) == [1, 4]
    assert counter.weight == pytest.approx(weigh(["a"]) + weigh(["ccc"]))


def test_an_error_names_the_place_among_all():
    """The index of an invalid text counts from the first part."""
    counter = TextCounter("")
    counter.add(["one", "two"])
    with pytest.raises(InputError, match="empty") as caught:
        counter.add(["three", ""])
    assert caught.value.index == 3


def test_an_error_about_no_text_has_no_place():
    """A prefix that cannot be encoded is nobody's index."""
    with pytest.raises(InputError) as caught:
        TextCounter("\ud800").add(["one"])
    assert caught.value.index is None


def test_placeholders_are_texts():
    """What is to be sent has the form of prepared texts."""
    counter = TextCounter("")
    counter.add(["one", "three"])
    assert isinstance(counter.to_send, TextInputs)
    assert list(counter.to_send.texts) == ["", ""]
