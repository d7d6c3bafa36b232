"""A small part of the simulation, in every run of the tests; `make simulate` runs ten thousand seeds."""

import pytest

from simulation.run import describe, simulate, watched_log

SEEDS = 120
QUICK_SEEDS = 60
"""Seeds of every `make test`; `make check` runs the others."""


@pytest.fixture(autouse=True)
def _watched_log():
    with watched_log():
        yield


@pytest.mark.parametrize(
    "seed", [*range(QUICK_SEEDS), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(QUICK_SEEDS, SEEDS))]
)
def test_every_rule_holds(seed):
    """No order of events breaks a rule in `invariants`."""
    world, error = simulate(seed)
    assert error is None, describe(world, error)


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_is_a_bug_report(seed):
    """The same seed gives the same run, to the last event."""
    one, other = simulate(seed)[0], simulate(seed)[0]
    assert [texts for _, texts in one.sent] == [texts for _, texts in other.sent]
    assert (one.steps, one.clock.now) == (other.steps, other.clock.now)
