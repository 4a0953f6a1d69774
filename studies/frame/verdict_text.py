"""Verdicts on published numbers and claims: their names, the limits they rest on, the texts that give reasons.

A study ends with a conclusion, its verdict and the reason in words. Its function `conclude` decides two things, whether
the published result is reproduced and whether it is at least reproduced in direction, and leaves the rest to this
module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from studies.frame.study import Row

REPRODUCED = "reproduced"
IN_DIRECTION = "reproduced in direction"
NOT_REPRODUCED = "not reproduced"
MEASURED = "measured"
"""For studies of our own, which have no published number."""

Conclusion = tuple[str, str]
"""(verdict, the reason in words)."""

DECISIVE = 30.0
"""Percentage points: a wider interval holds almost any published number, so it agrees with none."""
NEARLY_ALL = 90.0
"""Percent: a network that more examples fool does not resist; audits use the same limit."""


def verdict(*, reproduced: bool, in_direction: bool) -> str:
    """The verdict on a published result; `in_direction` decides only where it is not reproduced."""
    if reproduced:
        return REPRODUCED
    return IN_DIRECTION if in_direction else NOT_REPRODUCED


def by_quantity(rows: Iterable[Row]) -> Mapping[tuple[str, str], Row]:
    """The rows of a study by (subject, quantity), which identify a row."""
    return {(row.subject, row.quantity): row for row in rows}


def measured(rows: Iterable[Row]) -> Mapping[tuple[str, str], float]:
    """The measured numbers of a study by (subject, quantity)."""
    return {key: row.measured for key, row in by_quantity(rows).items()}


def subjects(rows: Iterable[Row]) -> list[str]:
    """The subjects of the rows, each once, in order."""
    return list(dict.fromkeys(row.subject for row in rows))


def surely_above(row: Row, limit: float) -> bool:
    """Whether the whole 95 % interval lies above `limit`; False for a row without an interval."""
    return row.interval is not None and row.interval[0] > limit


def surely_below(row: Row, limit: float) -> bool:
    """Whether the whole 95 % interval lies below `limit`; False for a row without an interval."""
    return row.interval is not None and row.interval[1] < limit


def range_text(values: Sequence[float], digits: int) -> str:
    """The least and the largest value, as "0.12 to 0.34"; one number where both read the same."""
    low, high = (f"{end:.{digits}f}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def listed(names: Iterable[str]) -> str:
    """The names, separated by commas, or "none"."""
    return ", ".join(names) or "none"
