"""The private parts of `EmbeddingsClient`: what it opens and closes, and how each kind of call is made.

Imports of this package only `_config`, `_http`, `_progress_bar`, `_storage`, `_text_inputs`, `_workers`,
`errors` and `usage`.
"""
