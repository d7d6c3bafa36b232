"""Every broken rule is noticed by the simulation."""

import pytest

from simulation.breakages import BREAKAGES, WHERE, find_seed


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_rule_is_noticed(name):
    """Each breakage of the scheduler is caught within a bounded number of seeds."""
    assert find_seed(name, WHERE.get(name)) is not None
