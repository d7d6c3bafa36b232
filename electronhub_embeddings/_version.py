"""The version of the package, at the bottom: what is sent and reported names it."""

__version__ = "0.1.0"
