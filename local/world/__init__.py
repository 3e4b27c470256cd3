"""Simulated vendors: ASGI apps with a state, that behave as the vendors' documentation says, also in awkward parts.

Each has a `tick()` that does what is due by the clock, so that the same code runs in real and in virtual time.
"""
