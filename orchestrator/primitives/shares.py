"""A number for a hash, to share people out by."""

from __future__ import annotations

DIGITS = 13
"""Hexadecimal digits of the hash: 52 bits, as many as a float holds."""


def share_of(digest: str) -> float:
    """The number between 0 and 1, without either, that a hash in hexadecimal digits stands for."""
    return float((int(digest[:DIGITS], 16) + 0.5) / 16**DIGITS)
