"""Encodes requests, and decodes and checks responses. No I/O.

Imports of this package only `_config`, `_rate_limit`, `_wording` and `errors`.
"""
