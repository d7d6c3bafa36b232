"""What one client holds while it is open, and how each kind of call is made.

Imports of this package only `_codec`, `_config`, `_rate_limit`, `_scheduling`, `_storage`, `_workers`, `errors`
and `usage`.
"""
