"""Worker threads: they run the scheduler of each account and perform its actions. No other threads send texts.

Imports of this package only `_codec`, `_config`, `_http`, `_rate_limit`, `_scheduling`, `_storage`, `errors`,
`rate_limit_stores` and `usage`.
"""
