"""Hyperparameters of attacks: the field says default, range and meaning, and everything else reads them there.

    steps: int = hyperparameter(40, "gradient steps", at_least=1)

`check_hyperparameters` (called by the base class of all attacks) and `hyperparameter_table` (printed by error messages
and help) both go by these fields, so a range is written down once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, TypeVar

from circuits.errors import DesignError

__all__ = [
    "MAX_SEED",
    "Hyperparameter",
    "Range",
    "check_hyperparameters",
    "hyperparameter",
    "hyperparameter_table",
    "list_hyperparameters",
    "seed_hyperparameter",
]

Value = TypeVar("Value", bool, int, float)

MAX_SEED = 2**64 - 1
_KINDS: Mapping[type, str] = MappingProxyType({bool: "True or False", int: "an integer", float: "a number"})
_METADATA = "hyperparameter"


@dataclass(frozen=True, kw_only=True)
class Range:
    """The values that a hyperparameter may have; a bound of None does not restrict."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    nonzero: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` lies in the range; NaN lies in none that has a bound."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and not (self.nonzero and value == 0)
        )

    def condition(self, name: str) -> str:
        """The range as a condition on `name`, such as "0 < step <= 2"; empty where nothing is restricted."""
        low = next(
            (f"{_number(b)} {sign} " for b, sign in ((self.at_least, "<="), (self.above, "<")) if b is not None), ""
        )
        high = next(
            (f" {sign} {_number(b)}" for b, sign in ((self.at_most, "<="), (self.below, "<")) if b is not None), ""
        )
        if low and not high:
            sign, bound = (">=", self.at_least) if self.at_least is not None else (">", self.above)
            assert bound is not None
            low, high = "", f" {sign} {_number(bound)}"
        text = f"{low}{name}{high}" if low or high else ""
        return text + (f"{' and ' if text else ''}{name} != 0" if self.nonzero else "")


@dataclass(frozen=True)
class Hyperparameter:
    """One row of an attack's table: `kind` is bool, int or float."""

    name: str
    kind: type
    default: float
    range: Range
    meaning: str


def hyperparameter(
    default: Value,
    meaning: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    nonzero: bool = False,
) -> Value:
    """A dataclass field with its `default`, what it means and the range that its values must lie in."""
    allowed = Range(at_least=at_least, above=above, at_most=at_most, below=below, nonzero=nonzero)
    description: Any = field(default=default, metadata={_METADATA: (allowed, meaning)})
    return description  # type: ignore[no-any-return]  # a dataclass puts the default in the field's place


def seed_hyperparameter() -> int:
    """The field `seed` of an attack that draws."""
    return hyperparameter(0, "random draws follow from it and from each image", at_least=0, at_most=MAX_SEED)


def hyperparameter_table(attack: type) -> tuple[Hyperparameter, ...]:
    """A row for each hyperparameter of the class `attack`, in the order of its fields."""
    rows = []
    for item in fields(attack):
        default: Any = item.default
        allowed, meaning = item.metadata[_METADATA]
        rows.append(Hyperparameter(item.name, type(default), default, allowed, meaning))
    return tuple(rows)


def check_hyperparameters(attack: Any) -> None:
    """Raises DesignError (a ValueError) for a value of `attack`, an instance, that has another kind or range."""
    for row in hyperparameter_table(type(attack)):
        value = getattr(attack, row.name)
        if not _is_a(value, row.kind):
            raise DesignError(
                f"{attack.name}.{row.name} must be {_KINDS[row.kind]}, but got {value!r}; "
                f"{list_hyperparameters(type(attack))}."
            )
        if not row.range.holds(value):
            raise DesignError(
                f"{attack.name}: {row.range.condition(row.name)} must hold, but got {value}; choose another value."
            )


def list_hyperparameters(attack: Any) -> str:
    """The norm and all hyperparameters of the class `attack` in one clause, for error messages."""
    rows = [f"{row.name} ({_KINDS[row.kind]}, by default {row.default})" for row in hyperparameter_table(attack)]
    return f"{attack.name} works in {attack.norm} and takes {', '.join(rows)}"


def _is_a(value: object, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, Integral) or (kind is float and isinstance(value, Real) and not math.isnan(value))


def _number(bound: float) -> str:
    if isinstance(bound, int) and bound.bit_length() > 32 and (bound + 1).bit_count() == 1:
        return f"2**{bound.bit_length()} - 1"
    return f"{bound:g}"
