"""Sends one request over HTTP and receives its response. The only folder that imports httpx.

Imports of this package only `_codec`, `_config`, `_rate_limit` and `errors`.
"""
