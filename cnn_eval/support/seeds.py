"""The range of seeds that a user may choose."""

from __future__ import annotations

MAX_SEED = 2**32 - 1
"""Largest seed: the largest that NumPy's and torch's generators both accept."""
