"""The kinds of adders by name, and how text names one with its options: "loa(lower=4)"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from circuits.errors import DesignError, unknown_name
from circuits.netlists.block_options import Option, Options, completed
from circuits.netlists.logic import Logic
from circuits.support.lazy import LazyMapping
from circuits.support.text import shorten

AddBits = Callable[[Logic, Sequence[int], Sequence[int], Options], list[int]]
"""(where to draw, a, b, options) -> the n + 1 nets of a + b, for operands of n bits each, the lowest bit first.

Bits may be constants: the final adder of a tree has columns with a single bit."""


@dataclass(frozen=True)
class AdderKind:
    """A kind of adder: how it is drawn, its options, and where it was published."""

    generate: AddBits
    options: Mapping[str, Option]
    source: str


ADDERS: Mapping[str, AdderKind] = LazyMapping(
    {
        "ripple": "circuits.adders.ripple_adder:ADDER",
        "loa": "circuits.adders.lower_part_or:ADDER",
        "eta2": "circuits.adders.error_tolerant:ADDER",
        "gear": "circuits.adders.gear:ADDER",
        "truncated": "circuits.adders.truncated_adder:ADDER",
    }
)
"""The kinds of adders by name; `ripple` is exact."""

_TEXT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:\((?P<options>[^()]*)\))?")


@dataclass(frozen=True)
class ChosenAdder:
    """A kind of adder with all of its options, for operands of a width."""

    name: str
    options: Options

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({options})" if options else self.name

    def add(self, logic: Logic, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """Draws it; see AddBits."""
        return ADDERS[self.name].generate(logic, a, b, self.options)


def chosen_adder(text: str, width: int, options: Mapping[str, object] | None = None) -> ChosenAdder:
    """The adder that `text` names, "loa(lower=4)", with further `options` and defaults for operands of `width` bits.

    Raises DesignError for text of another form and options out of range, UnknownNameError for unknown names.
    """
    match = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise DesignError(
            f"an adder must be named like 'loa' or 'loa(lower=4)', but got {shorten(repr(text))}; correct it."
        )
    name = match["name"]
    if name not in ADDERS:
        raise unknown_name("adder", name, ADDERS)
    given: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in (match["options"] or "").split(","))):
        key, _, value = (word.strip() for word in part.partition("="))
        given[key] = int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else value
    return ChosenAdder(name, completed(ADDERS[name].options, {**given, **(options or {})}, (width,), f"adder {name!r}"))
