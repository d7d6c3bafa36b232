"""The cooldown after a refused call."""

from dataclasses import replace

import pytest

from electronhub_embeddings._rate_limit.cooldown import Cooldown

SECONDS, MARGIN = 180.0, 0.1


def test_it_lasts_as_long_as_the_service_asks_for_and_a_margin():
    """Two clocks run at slightly different speeds."""
    cooldown = Cooldown()
    assert cooldown.start(10.0, SECONDS, MARGIN)
    assert cooldown == Cooldown(until=10.0 + SECONDS + MARGIN, refusals=1)


def test_a_call_that_was_in_flight_beside_the_refused_one_prolongs_it():
    """The service starts its cooldown again at each call, and the refusals of one burst are one cooldown."""
    cooldown = Cooldown()
    cooldown.start(10.0, SECONDS, MARGIN)
    assert not cooldown.start(11.0, SECONDS, MARGIN)
    assert cooldown == Cooldown(until=11.0 + SECONDS + MARGIN, refusals=1)


def test_a_shorter_one_does_not_end_it_earlier():
    """The longest of all that were asked for holds."""
    cooldown = Cooldown()
    cooldown.start(10.0, SECONDS, MARGIN)
    before = replace(cooldown)
    assert not cooldown.start(11.0, 1.0, MARGIN)
    assert cooldown == before


@pytest.mark.parametrize(("refusals", "factor"), [(0, 1), (1, 2), (2, 4), (3, 4), (9, 4)])
def test_one_after_another_lasts_longer(refusals, factor):
    """Clients that refuse each other come out of step: twice, then four times as long, and never more."""
    cooldown = Cooldown(until=10.0, refusals=refusals)
    assert cooldown.start(10.0, SECONDS, MARGIN)
    assert cooldown == Cooldown(until=10.0 + factor * SECONDS + MARGIN, refusals=refusals + 1)
