"""Decides which texts are sent next, and how failures are handled. No I/O, no threads, no clock: time is an argument.

Imports of this package only `_codec`, `_config`, `_progress_bar`, `_rate_limit`, `_usage_tracking`,
`_wording`, `errors` and `usage`.
"""
