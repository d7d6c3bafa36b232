"""Endurance tests: short by default, at full length with `--full`."""

import sys

import pytest


@pytest.fixture
def full(request):
    """Return whether to run at full length."""
    return request.config.getoption("--full")


@pytest.fixture
def report(capsys):
    """Return a function that prints a line in spite of pytest's capturing."""

    def say(line):
        with capsys.disabled():
            sys.stdout.write(f"\n{line}")

    return say
