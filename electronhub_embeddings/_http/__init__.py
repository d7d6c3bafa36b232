"""Sends one request over HTTP and receives its response. Only this folder and `_pacing` import httpx.

Imports of this package only `_codec`, `_config`, `_rate_limit` and `errors`.
"""
