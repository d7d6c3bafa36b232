"""One attempt over the wire: a request goes out, an answer comes in. The only folder that imports httpx.

Imports of this package only `_codec`, `_config`, `_rate_limit` and `errors`.
"""
