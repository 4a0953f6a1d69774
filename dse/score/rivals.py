"""Scored designs that others must not be dominated by, and the check that saves measurements which cannot matter.

A design with objectives that are not measured yet is compared at its bound: what is measured, and the best value that
each other objective can still take. If a scored design dominates the bound, it dominates the design too, whatever the
missing values turn out to be: with all objectives minimised, rival_k <= bound_k <= design_k for every objective k, and
rival_k < bound_k <= design_k for at least one. The design cannot be on the front, and is not measured any further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dse.score.scorers.scorer import Column, Scores

__all__ = ["Rivals", "dominates"]

Point = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere larger than `other` and somewhere smaller; never where a value is NaN."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@dataclass(frozen=True)
class Rivals:
    """The non-dominated among the scored designs, as (label, values of `objectives`), in the order of scoring."""

    objectives: tuple[Column, ...]
    members: tuple[tuple[str, Point], ...] = ()

    def bound(self, scores: Scores) -> Point:
        """The objectives at their best, minimised: the value in `scores`, else the best that the column can take."""
        return tuple(_minimised(column, scores.get(column.name, _best(column))) for column in self.objectives)

    def over(self, scores: Scores) -> str | None:
        """The label of a rival that dominates a design with these `scores`, whatever else it has; None without one."""
        bound = self.bound(scores)
        return next((label for label, point in self.members if dominates(point, bound)), None)

    def joined_by(self, label: str, values: Sequence[float]) -> Rivals:
        """These and a scored design with these minimised values; a design with an undefined value changes nothing."""
        point = tuple(values)
        if not all(map(math.isfinite, point)) or any(dominates(member, point) for _, member in self.members):
            return self
        kept = tuple(entry for entry in self.members if not dominates(point, entry[1]))
        return replace(self, members=(*kept, (label, point)))


def _minimised(column: Column, value: float) -> float:
    return value if column.minimise else -value


def _best(column: Column) -> float:
    if column.best is not None:
        return column.best
    return -math.inf if column.minimise else math.inf
