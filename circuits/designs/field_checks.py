"""Checks of single fields of a design; each raises DesignError with the field, its value and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from circuits.errors import DesignError, unknown_name
from circuits.floats.arithmetic import FloatFormat
from circuits.netlists.imported import MAXIMUM_WIDTH, MINIMUM_WIDTH
from circuits.netlists.netlist import Netlist
from circuits.support.text import has_controls

MAXIMUM_NAME = 100
"""Most characters of a design's name."""


def check_choice(what: str, value: Any, valid: Iterable[str]) -> None:
    """Raises UnknownNameError unless `value` is one of the `valid` names."""
    if not isinstance(value, str) or value not in valid:
        raise unknown_name(what, str(value), valid)


def check_integer(what: str, value: Any, low: int, high: int) -> None:
    """Raises DesignError unless `value` is an int (a bool is refused) from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DesignError(f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range.")


def check_signed(signed: Any, *, format_name: str | None, tile: int | None) -> None:
    """Raises DesignError unless `signed` is a bool that suits the format and the tile size of the design."""
    if not isinstance(signed, bool):
        raise DesignError(f"signed must be true or false, but got {signed!r}; correct it.")
    if signed and format_name is not None:
        raise DesignError(
            f"a signed design must be an integer design, because mantissas are unsigned, but got "
            f"format={format_name!r}; set format=None and a width, or signed=False."
        )
    if signed and tile is not None:
        raise DesignError(
            f"a signed design must be untiled, because tiles are unsigned arrays, but got tile={tile}; "
            f"leave tile out or set signed=False."
        )


def is_name(name: Any) -> bool:
    """Whether a design may have this name: 1 to 100 printable characters."""
    return isinstance(name, str) and 1 <= len(name) <= MAXIMUM_NAME and not has_controls(name)


def operand_widths(width: Any, fmt: FloatFormat | None) -> tuple[int, int]:
    """The widths (w, v) that the field `width` stands for; None stands for the mantissa width of the format."""
    if width is None:
        if fmt is None:
            raise DesignError("an integer design (format=None) must have a width, but got None; give width=8, say.")
        return fmt.width, fmt.width
    pair = (width, width) if isinstance(width, int) else width
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise DesignError(f"width must be an integer or a pair (w, v), but got {width!r}; correct it.")
    for bits in pair:
        check_integer("width", bits, MINIMUM_WIDTH, MAXIMUM_WIDTH)
    if fmt is not None and pair != (fmt.width, fmt.width):
        raise DesignError(
            f"width must be {fmt.width} for format {fmt.name} (hidden one included), but got {width!r}; "
            f"leave width out or change the format."
        )
    return pair


def circuit_widths(circuit: Netlist) -> tuple[int, int]:
    """The operand widths (w, v) of a multiplier's netlist."""
    w, v = (len(bus) for bus in circuit.inputs.values())
    return w, v
