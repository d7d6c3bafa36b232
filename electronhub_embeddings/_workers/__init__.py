"""Worker threads: they run the scheduler of each account and perform its actions. No other folder starts threads.

Imports of this package only `_codec`, `_config`, `_http`, `_progress_bar`, `_rate_limit`, `_scheduling`, `_storage`,
`_usage_tracking`, `_wording`, `errors`, `rate_limit_stores` and `usage`.
"""
