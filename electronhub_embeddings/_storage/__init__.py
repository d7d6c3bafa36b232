"""SQLite files that processes share: the vector cache, and what the rate limit store needs of SQLite.

Imports of this package only `_codec` and `errors`.
"""
