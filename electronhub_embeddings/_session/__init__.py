"""What one client holds while it is open, and how each kind of call is made.

Imports of this package only `_codec`, `_config`, `_progress_bar`, `_storage`, `_usage_tracking`, `_wording`,
`_workers`, `errors`, `estimate` and `usage`.
"""
