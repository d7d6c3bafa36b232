"""Decides which texts are sent next, and how failures are handled. No I/O, no threads, no clock: time is an argument.

Imports of this package only `_codec`, `_config`, `_rate_limit`, `errors` and `usage`.
"""
