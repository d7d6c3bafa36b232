"""The version of the package: named in the User-Agent header and in spans, and read when the wheel is built."""

__version__ = "0.1.0"
