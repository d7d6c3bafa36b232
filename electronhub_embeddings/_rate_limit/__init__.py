"""The rules of the rate limit: when a request may start. No I/O, no thread, no clock.

Imports nothing else of this package.
"""
