"""Verdicts on published numbers and claims: their names, their thresholds, and helpers that word the reasons.

A study ends with a conclusion: its verdict and the reason in words. The study's function `conclude` decides whether the
published result is reproduced, and whether it is at least reproduced in direction. This module does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from studies.frame.study import Row

REPRODUCED = "reproduced"
IN_DIRECTION = "reproduced in direction"
NOT_REPRODUCED = "not reproduced"
CANNOT_TELL = "cannot be told"
"""The verdict where the test could not pass or could not fail, whatever the circuit, or where a direction has no
interval to bear it."""
DEPENDS = "depends on the network"
"""The verdict where networks of different training point in opposite directions, each with its whole interval."""
MEASURED = "measured"
"""The verdict of our own studies, which have no published number."""

Conclusion = tuple[str, str]
"""The verdict and the reason for it in words."""

DECISIVE = 30.0
"""Largest width of an interval that can confirm a number, in percentage points. A wider one contains almost any."""
KEPT = 1.0
"""Largest loss of accuracy, in percentage points, that counts as none: the largest that DA reports."""
SELDOM = 50.0
"""Largest percentage of examples that counts as few, where DA says "seldom" of one kind of them."""
NEARLY_ALL = 90.0
"""A network fooled by a larger percentage of the examples does not resist. Audits use the same limit."""


def verdict(*, reproduced: bool, in_direction: bool, room: bool = True) -> str:
    """Returns the verdict on a published result. `in_direction` matters only if the result is not reproduced.

    `room`: whether the exact network leaves room for the published difference; otherwise no test of it could pass.
    """
    if not room:
        return CANNOT_TELL
    if reproduced:
        return REPRODUCED
    return IN_DIRECTION if in_direction else NOT_REPRODUCED


def by_quantity(rows: Iterable[Row]) -> Mapping[tuple[str, str], Row]:
    """Maps (subject, quantity), which identifies a row within a study, to the row."""
    return {(row.subject, row.quantity): row for row in rows}


def measured(rows: Iterable[Row]) -> Mapping[tuple[str, str], float]:
    """Maps (subject, quantity) to the measured number."""
    return {key: row.measured for key, row in by_quantity(rows).items()}


def subjects(rows: Iterable[Row]) -> list[str]:
    """Returns the distinct subjects of the rows in order of appearance."""
    return list(dict.fromkeys(row.subject for row in rows))


def surely_above(row: Row, limit: float) -> bool:
    """Whether the whole 95 % interval lies above `limit`; False for a row without an interval."""
    return row.interval is not None and row.interval[0] > limit


def surely_below(row: Row, limit: float) -> bool:
    """Whether the whole 95 % interval lies below `limit`; False for a row without an interval."""
    return row.interval is not None and row.interval[1] < limit


def range_text(values: Sequence[float], digits: int) -> str:
    """Formats the smallest and the largest value as "0.12 to 0.34", or as one number if both round to the same."""
    low, high = (f"{end:.{digits}f}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def listed(names: Iterable[str]) -> str:
    """Joins the names with commas; returns "none" if there are none."""
    return ", ".join(names) or "none"
