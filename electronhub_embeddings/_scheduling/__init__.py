"""Which texts leave next, and what becomes of a failure. No I/O, no thread, no clock: time is an argument.

Imports of this package only `_codec`, `_config`, `_progress_bar`, `_rate_limit`, `_text_inputs`, `errors` and `usage`.
"""
