"""Decides when a request may start under the rate limit. No I/O, no threads, no clock.

Imports nothing else of this package.
"""
