"""Paces the requests that other libraries send with the same key: one window for all of them.

Imports of this package only `_codec`, `_config`, `_http`, `_rate_limit`, `_scheduling`, `_workers`
and `errors`.
"""
