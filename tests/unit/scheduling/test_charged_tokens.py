"""The tokens that are to be expected of texts, by what others were charged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.text_weight import weigh
from electronhub_embeddings._scheduling.charged_tokens import ENOUGH_TEXTS, LEAST_ERROR, SAMPLING_ERROR, Charged
from support.scheduler_driver import Driver

TEXT = "a text of some words"


def test_before_the_first_answer_the_weight_is_expected():
    """A token for each text and each byte are the bounds, also of what is expected."""
    assert Charged().expect(10, 4000, 900.4) == (900, 10, 4000)
    assert Charged().expect(10, 12, 900.4) == (12, 10, 12)
    assert Charged().expect(10, 4000, 3.0) == (10, 10, 4000)


def test_tokens_are_expected_as_they_were_charged():
    """The average of all answers for the same weight; no answer is outside of the range."""
    charged, weight = Charged(), weigh([TEXT])
    charged.add([TEXT] * 100, round(100 * weight))
    charged.add([TEXT] * 300, round(600 * weight))
    assert charged.expect(5, 10_000, 1000.0) == pytest.approx((1750, 1000, 2000), abs=10)


@pytest.mark.parametrize("texts", [1, 16, 25, 100])
def test_few_texts_say_little(texts):
    """The fewer texts were charged, the wider the range; other texts may be of another kind, so it is never narrow."""
    charged = Charged()
    charged.add([TEXT] * texts, 10 * texts)
    tokens, fewest, most = charged.expect(5, 10_000, 1000.0)
    error = max(LEAST_ERROR, SAMPLING_ERROR / texts**0.5)
    assert (fewest, most) == pytest.approx((tokens * (1 - error), tokens * (1 + error)), abs=2)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.integers(1, 10**7)), min_size=1), st.floats(1.0, 1e7))
def test_what_is_expected_is_in_its_range(answers, weight):
    """For any usage, even one of more tokens than bytes, the expectation is between its bounds."""
    charged = Charged()
    for text, tokens in answers:
        charged.add([text.encode("utf-8", "replace").decode()], tokens)
    tokens, fewest, most = charged.expect(1, 10**7, weight)
    assert 0 <= fewest <= tokens <= most


def test_an_answer_without_a_charge_teaches_nothing():
    """Without usage the weight stays what is expected."""
    charged = Charged()
    charged.add([TEXT], 0)
    assert charged == Charged()


def test_queries_teach_nothing_of_documents():
    """They are short, and to weigh them would take a part of the time that a query takes."""
    driver = Driver()
    charged = driver.scheduler._queues.of(driver.submit(1, is_query=True)).learned.limits.charged
    driver.finish(driver.grant(linger=0.0), tokens=100)
    assert charged == Charged()


def test_enough_texts_are_enough():
    """The texts of later answers are not weighed: that would take time, and teach nothing."""
    driver = Driver()
    charged = driver.scheduler._queues.of(driver.submit(3 * ENOUGH_TEXTS)).learned.limits.charged
    while charged.texts < ENOUGH_TEXTS:
        driver.finish(driver.grant(linger=0.0), tokens=100)
    before = charged.weight
    driver.finish(driver.grant(linger=0.0), tokens=100)
    assert charged.weight == before
