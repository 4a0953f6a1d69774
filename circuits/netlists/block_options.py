"""Options of architectures: what a multiplier family or an approximate adder may be told, and what it was told.

An architecture declares its options by name; `completed` turns what a user gave into `Options`, every option with a
value, or raises one clear line. Bounds and defaults may depend on the operand widths.

    OPTIONS = {"k": IntegerOption("segment bits", low=always(2), high=min, default=always(6))}
    completed(OPTIONS, {"k": 4}, (8, 8), "topology 'drum'")        {"k": 4}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from circuits.errors import DesignError, unknown_name
from circuits.support.text import shorten

Bound = Callable[..., int]
"""A number that depends on the operand widths, which are its arguments."""


def always(value: int) -> Bound:
    """The bound that does not depend on the widths."""
    return lambda *widths: value


class Options(Mapping[str, Any]):
    """Option -> value, immutable, in the order of declaration; equal and hashable by content."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)

    def __str__(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self._values.items())

    def to_data(self) -> dict[str, Any]:
        """As TOML holds it: numbers, text and lists of text."""
        return {name: getattr(value, "to_data", lambda v=value: v)() for name, value in self._values.items()}


NONE = Options()
"""No options."""


class Option(Protocol):
    """One option of an architecture."""

    @property
    def meaning(self) -> str:
        """What it chooses, in words."""

    def value(self, name: str, given: Any, widths: tuple[int, ...]) -> Any:
        """The value that `given` stands for, hashable; None stands for the default. Raises DesignError."""

    def range_text(self, widths: tuple[int, ...]) -> str:
        """The values that it takes at these widths, and the default, in words."""


@dataclass(frozen=True)
class IntegerOption:
    """An integer from `low` to `high`, both included."""

    meaning: str
    low: Bound
    high: Bound
    default: Bound

    def value(self, name: str, given: Any, widths: tuple[int, ...]) -> int:
        """See Option."""
        low, high = self.low(*widths), self.high(*widths)
        value = self.default(*widths) if given is None else given
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise DesignError(
                f"{low} <= {name} <= {high} must hold for operands of {_widths_text(widths)}, but got "
                f"{shorten(repr(value))}; choose an integer in that range."
            )
        return value

    def range_text(self, widths: tuple[int, ...]) -> str:
        """See Option."""
        return f"{self.low(*widths)} to {self.high(*widths)}, default {self.default(*widths)}"


@dataclass(frozen=True)
class ChoiceOption:
    """One of several words; the first one is the default."""

    meaning: str
    choices: tuple[str, ...]

    def value(self, name: str, given: Any, widths: tuple[int, ...]) -> str:
        """See Option."""
        value = self.choices[0] if given is None else given
        if not isinstance(value, str) or value not in self.choices:
            raise unknown_name(name, shorten(str(value)), self.choices)
        return value

    def range_text(self, widths: tuple[int, ...]) -> str:
        """See Option."""
        return f"{', '.join(self.choices)}; default {self.choices[0]}"


def completed(declared: Mapping[str, Option], given: Any, widths: tuple[int, ...], what: str) -> Options:
    """All options of an architecture with the values that `given` (name -> value) and the defaults say.

    `what` names the architecture in errors. Raises DesignError for values out of range, UnknownNameError for unknown
    options.
    """
    if not isinstance(given, Mapping):
        raise DesignError(f"options must be a table of names and values, but got {shorten(repr(given))}; correct it.")
    for name in given:
        if not declared:
            raise DesignError(f"{what} takes no options, but got {name!r}; leave it out.")
        if name not in declared:
            raise unknown_name(f"option of {what}", str(name), declared)
    return Options({name: option.value(name, given.get(name), widths) for name, option in declared.items()})


def _widths_text(widths: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, widths))} bits"
