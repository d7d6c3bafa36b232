"""The tests of the site need the environment of `make site`, which can drive a browser; others leave them out."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("playwright") else ["test_pages.py"]
