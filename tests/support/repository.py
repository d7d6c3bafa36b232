"""The repository: its root, and the path of the tests in it."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
