"""Constraints on scores, as "accuracy_loss<=0.5": parsed, checked, and used to skip expensive measurements.

Cheap scores come first: a design that breaks a constraint on what is measured so far is not measured any further.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from circuits.errors import DesignError, unknown_name
from dse.score.scorers import COLUMNS
from dse.score.scorers.scorer import Column, Scores

__all__ = ["Constraint", "broken", "constraints", "violations"]

_FORM = re.compile(r"\s*([^\s<>=!]*)\s*([<>=!]+)\s*(.*?)\s*")
_RELATIONS = ("<=", ">=")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Constraint:
    """`column` <= or >= `bound`, in the column's unit. An undefined score breaks it."""

    column: Column
    relation: str
    bound: float

    def __post_init__(self) -> None:
        assert self.relation in _RELATIONS

    @classmethod
    def parse(cls, text: str, columns: Mapping[str, Column] = COLUMNS) -> Constraint:
        """From "NAME<=NUMBER" or "NAME>=NUMBER" for a name in `columns`; spaces are allowed.

        Raises UnknownNameError for a name that is no column, DesignError for anything else.
        """
        match = _FORM.fullmatch(text)
        if match is None or match[2] not in _RELATIONS or not match[1]:
            raise DesignError(f"a constraint must be NAME<=NUMBER or NAME>=NUMBER, but got {text!r}; correct it.")
        name, relation, number = match.groups()
        if name not in columns:
            raise unknown_name("column", name, columns)
        column = columns[name]
        if not _NUMBER.fullmatch(number) or not math.isfinite(float(number)):
            unit = "a ratio" if column.unit == "1" else "counted" if column.unit == "count" else f"in {column.unit}"
            raise DesignError(
                f"the bound of a constraint must be a finite number without a unit ({name} is {unit}), but got "
                f"{number!r} in {text!r}; correct it."
            )
        return cls(column, relation, float(number))

    def __str__(self) -> str:
        return f"{self.column.name}{self.relation}{self.bound:.12g}"

    def violation(self, value: float) -> float:
        """By how much `value` breaks the constraint: 0 where it holds, otherwise relative to the bound.

        Infinity where the value is undefined.
        """
        if math.isnan(value):
            return math.inf
        excess = value - self.bound if self.relation == "<=" else self.bound - value
        # Relative, so that violations of different units add up; 1e-3 keeps a bound of 0 from making each one
        # infinite.
        return max(0.0, excess) / max(1e-3, abs(self.bound))


def constraints(texts: Iterable[Constraint | str], columns: Mapping[str, Column] = COLUMNS) -> tuple[Constraint, ...]:
    """The constraints of those texts (or constraints themselves) on `columns`, sorted, each once.

    Raises as `Constraint.parse` does, and DesignError where two of them leave a column no value.
    """
    parsed = (Constraint.parse(text, columns) if isinstance(text, str) else text for text in texts)
    # Sorted by text, because constraints are part of a run's identity and their order on the command line is not.
    distinct = {str(limit): limit for limit in parsed}
    limits = tuple(distinct[key] for key in sorted(distinct))
    for name in {limit.column.name for limit in limits}:
        upper = min((c.bound for c in limits if c.column.name == name and c.relation == "<="), default=math.inf)
        lower = max((c.bound for c in limits if c.column.name == name and c.relation == ">="), default=-math.inf)
        if lower > upper:
            raise DesignError(
                f"constraints on {name} must leave it a value, but got {name}>={lower:g} and {name}<={upper:g}; "
                "drop one."
            )
    return limits


def violations(limits: Sequence[Constraint], scores: Scores) -> list[float]:
    """The violation of each constraint; 0 where its column is not measured yet."""
    # A measurement that was skipped must not count against a design: what was broken earlier does already.
    return [limit.violation(scores[limit.column.name]) if limit.column.name in scores else 0.0 for limit in limits]


def broken(limits: Sequence[Constraint], scores: Scores) -> tuple[Constraint, ...]:
    """Those constraints that the scores measured so far break."""
    return tuple(limit for limit, excess in zip(limits, violations(limits, scores), strict=True) if excess > 0)
