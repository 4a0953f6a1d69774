"""What rates must be for a verdict, in every study and in the report."""

from __future__ import annotations

DECISIVE = 30.0
"""Percentage points: a wider interval holds almost any published number, and agrees with none."""
NEARLY_ALL = 90.0
"""Percent: where more examples fool a network it does not resist, as in an audit."""
