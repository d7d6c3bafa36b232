"""What a client is told: declared, checked and resolved. Also the version of the package.

Imports of this package only `_rate_limit` (the interface of stores), `errors` and `usage`.
"""
