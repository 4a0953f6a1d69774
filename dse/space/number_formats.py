"""The formats of a space: float formats by their names, and integers as "int8", "uint8" or "int8x4".

A number is a width; with two, the first is that of the activations and drives the rows, the second of the weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from circuits.designs.design_record import Design
from circuits.designs.named_designs import design as named_design
from circuits.errors import DesignError
from circuits.floats.arithmetic import float_format

__all__ = ["NumberFormat", "exact_like", "number_format"]

_INTEGER = re.compile(r"(u?)int([0-9]{1,3})(?:x([0-9]{1,3}))?")
_WIDEST = 64


@dataclass(frozen=True)
class NumberFormat:
    """`shape`: (w, v), the operand bits of the circuit. `float_name`: None for integers, `signed` or not."""

    name: str
    shape: tuple[int, int]
    signed: bool
    float_name: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a Design of this format."""
        if self.float_name is not None:
            return {"format": self.float_name}
        return {"format": None, "width": self.shape, "signed": self.signed}

    @property
    def exact(self) -> Design:
        """The exact ripple array of this format."""
        return Design(**self.fields, name=f"exact {self.name}")

    def holds(self, design: Design) -> bool:
        """Whether the design computes in this format."""
        if design.format is not None or self.float_name is not None:
            return design.format == self.float_name
        return (design.shape, design.signed) == (self.shape, self.signed)


@lru_cache(maxsize=64)
def number_format(name: str) -> NumberFormat:
    """The format of that name; DesignError (UnknownNameError for floats) where there is none."""
    match = _INTEGER.fullmatch(name)
    if match is None:
        width = float_format(name).width
        return NumberFormat(name, (width, width), False, name)
    shape = int(match[2]), int(match[3] or match[2])
    least = 1 if match[1] else 2
    if not all(least <= width <= _WIDEST for width in shape):
        raise DesignError(f"an integer format must have {least} to {_WIDEST} bits, but got {name!r}; correct it.")
    return NumberFormat(name, shape, not match[1], None)


def exact_like(design: Design) -> Design:
    """The exact design that layers have whose neighbours multiply by `design`: float32, or integers of its format."""
    if design.format is not None:
        return named_design("exact")
    rows, columns = design.shape
    width = str(rows) if rows == columns else f"{rows}x{columns}"
    return number_format(f"{'' if design.signed else 'u'}int{width}").exact
