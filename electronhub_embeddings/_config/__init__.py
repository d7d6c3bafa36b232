"""What a client is told: declared, checked and resolved.

Imports of this package only `_rate_limit` (the interface of stores) and `usage`.
"""
