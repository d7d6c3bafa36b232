"""The estimate: its sums, and its sentence."""

from dataclasses import FrozenInstanceError, replace

import pytest

from electronhub_embeddings import Estimate

ESTIMATE = Estimate(
    texts=3000,
    distinct=2871,
    cached=120,
    tokens=412_345,
    tokens_range=(400_000, 430_000),
    requests=2,
    seconds=12.2,
    requests_per_minute=5,
    limit_source="service",
    left_to_others=0,
    price=None,
)


def test_the_sentence_is_one_to_act_on():
    """Texts, tokens, requests, time and limit are said in one sentence."""
    assert str(ESTIMATE) == (
        "3,000 texts (2,871 distinct, 120 from the cache), about 410,000 tokens, 2 requests, about 12 s "
        "(5 requests a minute)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distinct": 3000, "cached": 0}, "3,000 texts, about"),
        ({"cached": 0}, "3,000 texts (2,871 distinct), about"),
        (
            {"texts": 1, "distinct": 1, "cached": 0, "requests": 1},
            "1 text, about 410,000 tokens, 1 request, about 12 s",
        ),
        ({"requests_per_minute": 1}, "(1 request a minute)"),
        ({"limit_source": "guess"}, "(5 requests a minute, a guess after a refused request)"),
        ({"limit_source": "option"}, "(5 requests a minute, as set)"),
        ({"left_to_others": 12}, "(5 requests a minute, 12 more are left to others)"),
        ({"requests_per_minute": None, "limit_source": None}, "about 12 s (the service has named no limit)"),
        ({"seconds": 7000.0}, "about 2 h (5"),
        ({"price": 0.02}, "tokens, cost about 0.0082 at 0.02 a million tokens, 2 requests"),
        ({"tokens": 7}, "about 7 tokens"),
    ],
)
def test_the_sentence_says_what_is_special(changes, words):
    """What is zero or usual is left out, and what is unusual is named."""
    assert words in str(replace(ESTIMATE, **changes))


def test_an_unknown_limit_says_what_to_do():
    """Without a limit there is no time, but a next step."""
    words = str(replace(ESTIMATE, seconds=None, requests_per_minute=None, limit_source=None))
    assert "2 requests; how long that takes is known after the first answer" in words
    assert words.endswith("embed one text, or set requests_per_minute")


def test_nothing_to_send_is_said():
    """If the cache has everything, there are no requests to speak of."""
    done = replace(ESTIMATE, cached=2871, tokens=0, requests=0, seconds=0.0)
    assert str(done) == "3,000 texts (2,871 distinct, 2,871 from the cache): nothing to send"


def test_cost_is_that_of_the_tokens():
    """The cost is in the unit of the price, and unknown without a price."""
    assert replace(ESTIMATE, tokens=500_000, price=0.02).cost == pytest.approx(0.01)
    assert ESTIMATE.cost is None
    assert ESTIMATE.to_send == 2871 - 120


def test_an_estimate_is_a_value():
    """An estimate cannot be changed."""
    with pytest.raises(FrozenInstanceError):
        ESTIMATE.texts = 5
