"""How rows become the numbers that test a claim: differences to the exact network, and the weakest of several victims.

A bare rate is no evidence of robustness: a network may resist because the attack is weak, and may fail because it
fails without any approximation. What counts is the difference to the exact network under the same attack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from studies.frame.study import Row

Direction = Callable[[Row], bool]
PAIRED = ", less exact"
"""What follows the quantity of a rate in the row of its paired difference to the exact network."""


def below(limit: float) -> Direction:
    """Returns a direction that accepts measured numbers below `limit`."""
    return lambda row: row.measured < limit


def above(limit: float) -> Direction:
    """Returns a direction that accepts measured numbers above `limit`."""
    return lambda row: row.measured > limit


@dataclass(frozen=True)
class Difference(Row):
    """A rate less that of the exact network, in percentage points.

    `room`: the largest difference in the published direction that the exact network's own rate leaves. `ends`: the
    smallest and the largest difference that a victim could have.
    """

    room: float = math.inf
    ends: tuple[float, float] = (-math.inf, math.inf)

    @property
    def cannot_be_had(self) -> bool:
        """Whether the published difference is larger than any that could be measured: its test could not pass."""
        return self.published is not None and self.room < abs(self.published)


def differences(rows: Iterable[Row], reference: Iterable[Row], *, paired: Iterable[Row] = ()) -> list[Row]:
    """Returns each row less the row of `reference` with the same quantity, with intervals as in `newcombe`.

    Where `paired` has the difference on the same images, of the same subject and with PAIRED behind the quantity, that
    one and its interval count: two rates of the same images are not independent.

    All rows are percentages with intervals. Raises ValueError if the reference lacks a quantity or an interval.
    """
    by_quantity = {row.quantity: row for row in reference}
    of_pairs = {(row.subject, row.quantity): row for row in paired if row.interval and row.quantity.endswith(PAIRED)}
    result: list[Row] = []
    for row in rows:
        other = by_quantity.get(row.quantity)
        if other is None or other.interval is None or row.interval is None:
            raise ValueError(
                f"{row.subject}, {row.quantity} must have an interval, and so must the exact network's number; run the "
                "study again."
            )
        published = None if row.published is None or other.published is None else row.published - other.published
        rises = published is None or published > 0
        pair = of_pairs.get((row.subject, f"{row.quantity}{PAIRED}"))
        independent = newcombe((row.measured, *row.interval), (other.measured, *other.interval))
        result.append(
            Difference(
                row.subject,
                row.quantity,
                row.measured - other.measured if pair is None else pair.measured,
                published,
                independent if pair is None else pair.interval,
                "points",
                room=100 - other.measured if rises else other.measured,
                ends=(-other.measured, 100 - other.measured),
            )
        )
    return result


def newcombe(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float]:
    """Returns the 95 % interval of a difference of two rates, each given as (rate, low, high) with Wilson's interval.

    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
    1998, method 10. The rates here come from the same images, which makes it too wide rather than too narrow.
    """
    (p1, low1, high1), (p2, low2, high2) = one, other
    difference = p1 - p2
    return difference - math.hypot(p1 - low1, high2 - p2), difference + math.hypot(high1 - p1, p2 - low2)


def weakest(rows: Sequence[Row], direction: Direction) -> list[Row]:
    """Returns for each quantity the row of the victim that points the least in the claimed direction.

    An attacker chooses the gradient that serves best, so that the other victims are no evidence.
    """
    result: dict[str, Row] = {}
    for row in rows:
        chosen = result.setdefault(row.quantity, row)
        # A direction accepts everything beyond some limit: it tells which of two limits lies further out.
        if _further(chosen, row, direction):
            result[row.quantity] = row
    return list(result.values())


def _further(one: Row, other: Row, direction: Direction) -> bool:
    """Whether `one` lies further in the claimed direction than `other`."""
    upwards = direction(replace(one, measured=math.inf))
    return one.measured > other.measured if upwards else one.measured < other.measured


def is_testable(row: Row, direction: Direction) -> bool:
    """Whether the direction accepts some of the numbers that the row could have, and refuses others.

    A test that accepts all of them cannot fail, and one that refuses all cannot pass: neither is evidence. Only rates
    and their differences have a range. A direction that does not look at the number (an audit's verdict) is testable.
    """
    if row.unit != "%" and not isinstance(row, Difference):
        return True
    if direction(replace(row, measured=-math.inf)) == direction(replace(row, measured=math.inf)):
        return True
    low, high = row.ends if isinstance(row, Difference) else (0.0, 100.0)
    return direction(replace(row, measured=low)) != direction(replace(row, measured=high))


def surely(row: Row, direction: Direction) -> bool:
    """Whether the whole 95 % interval points in the claimed direction; False for a row without an interval."""
    return row.interval is not None and all(direction(replace(row, measured=end)) for end in row.interval)
