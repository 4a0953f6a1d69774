"""Names with brackets as nets: bits, parts and elements of arrays, at constant indices or through multiplexers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from circuits.errors import DesignError, unknown_name
from circuits.hdl.verilog.evaluation import net_arithmetic
from circuits.hdl.verilog.evaluation.widths import Size
from circuits.hdl.verilog.flat import ZERO, Flat, constant_nets, fold_constants
from circuits.hdl.verilog.scope import Constant, Dimension, Scope, Signal, dimension_size, position
from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.hdl.verilog.syntax.expression_parser import MAXIMUM_BUS
from circuits.hdl.verilog.syntax.tree import Expression, Part, Place, Reference

if TYPE_CHECKING:
    from circuits.hdl.verilog.evaluation.variables import State

_MAXIMUM_LOOKUP = 12
"""Most bits of an index that becomes a tree of multiplexers; a longer one becomes a shifter."""


class NotConstantError(DesignError):
    """An expression that must be constant reads a signal."""


class ReferenceReader(ABC):
    """The part of an evaluator that reads names.

    `state`: while an always block or function is read, the values that its variables have at this point. `draws`:
    whether an index that is no constant is drawn as multiplexers.
    """

    draws = True

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.state: State | None = None

    @abstractmethod
    def size(self, scope: Scope, value: Expression) -> Size:
        """Self-determined width and sign."""

    @abstractmethod
    def self_determined(self, scope: Scope, value: Expression) -> list[int]:
        """The value in its own width and sign."""

    @abstractmethod
    def constant(self, scope: Scope, value: Expression) -> Constant:
        """The value of a constant expression, in its own width."""

    def reference_size(self, scope: Scope, value: Reference) -> Size:
        symbol = self.symbol(scope, value)
        if isinstance(symbol, Constant):
            dimensions: tuple[Dimension, ...] = ((symbol.width - 1, 0),)
            arrays = 0
        else:
            dimensions, arrays = symbol.dimensions, symbol.arrays
        width = 1
        for part in value.parts:
            if part.kind == "":
                dimensions, arrays = dimensions[1:], arrays - 1
            elif part.kind == ":":
                width *= self.part_range(scope, value, dimensions[0], part)[1]
                dimensions, arrays = dimensions[1:], -1
            else:
                width *= self.part_width(scope, value, part)
                dimensions, arrays = dimensions[1:], -1
        for dimension in dimensions:
            width *= dimension_size(dimension)
        # A name keeps its sign only as a whole, or as a whole element of an array; bits and parts are unsigned
        # (1364-2005, 5.5.1).
        whole = not value.parts or arrays == 0
        return Size(width, whole and symbol.signed)

    def symbol(self, scope: Scope, value: Reference) -> Signal | Constant:
        """What a name stands for; DesignError where it is unknown."""
        inner: Scope | None = scope
        for name, index in value.path:
            blocks = inner.block(name) if inner is not None else None
            key = None if index is None else self.constant(scope, index).number
            inner = blocks.get(key) if blocks is not None else None
            if inner is None:
                raise self.fail(
                    scope,
                    value.line,
                    f"a name behind '.' must lie in a generate block, but got {name}.{value.name}; name a signal here",
                )
        symbol = inner.find(value.name) if inner is not None else None
        if symbol is None:
            error = unknown_name("signal", value.name, scope.names())
            raise self.fail(scope, value.line, f"module {scope.module.name!r}: {str(error).removesuffix('.')}")
        return symbol

    def reference(self, scope: Scope, value: Reference) -> list[int]:
        """The nets of a name with its brackets."""
        symbol = self.symbol(scope, value)
        if isinstance(symbol, Constant):
            nets = [symbol.value >> k & 1 for k in range(symbol.width)]
            return self.selected(scope, value, nets, ((symbol.width - 1, 0),)) if value.parts else nets
        if symbol.arrays and len(value.parts) < symbol.arrays:
            raise self.fail(
                scope,
                value.line,
                f"an array must be read an element at a time, but {value.name!r} has no index; add it",
            )
        if not value.parts:
            return self.read(scope, value, symbol.nets)
        return self.selected(scope, value, symbol.nets, symbol.dimensions)

    def read(self, scope: Scope, value: Reference, nets: list[int]) -> list[int]:
        """The nets whose values a signal has here: its own ones, but inside an always block those of its variables."""
        state = self.state
        if state is None:
            return list(nets)
        values = [state.read(net) for net in nets]
        if None in values:
            raise self.fail(
                scope,
                value.line,
                f"an always block must assign a variable on every path before it reads it, but {value.name!r} has no "
                "value here; assign it first",
            )
        return [net for net in values if net is not None]

    def selected(self, scope: Scope, value: Reference, nets: list[int], dimensions: tuple[Dimension, ...]) -> list[int]:
        """The nets that brackets leave; an index that is no constant is a multiplexer."""
        for number, part in enumerate(value.parts):
            if not dimensions:
                raise self.fail(
                    scope, value.line, f"a single bit must have no index, but {value.name!r} gets one; remove it"
                )
            last = number == len(value.parts) - 1
            if part.kind and not last:
                raise self.fail(scope, value.line, f"nothing may follow the range of {value.name!r}; correct it")
            # One index of this dimension stands for `chunk` nets, those of all inner dimensions.
            chunk = len(nets) // dimension_size(dimensions[0])
            start = self.start(scope, value, dimensions[0], part)
            if start is None:
                return self.variable_part(scope, value, nets, dimensions[0], number)
            count = self.part_width(scope, value, part) if part.kind else 1
            nets = nets[start * chunk : (start + count) * chunk]
            dimensions = dimensions[1:]
        return self.read(scope, value, nets)

    def start(self, scope: Scope, value: Reference, dimension: Dimension, part: Part) -> int | None:
        """The position of the lowest selected index; None where it is no constant."""
        if part.kind == ":":
            return self.part_range(scope, value, dimension, part)[0]
        try:
            index = self.constant(scope, part.high).number
        except NotConstantError:
            if not self.draws:
                raise
            return None
        count = self.part_width(scope, value, part) if part.kind else 1
        ends = (index, index + count - 1) if part.kind == "+:" else (index, index - count + 1)
        return self.range_position(scope, value, dimension, ends)[0]

    def part_width(self, scope: Scope, value: Reference, part: Part) -> int:
        """How many indices a range in brackets selects."""
        assert part.low is not None
        if part.kind == ":":
            high, low = (self.constant(scope, end).number for end in (part.high, part.low))
            return abs(high - low) + 1
        width = self.constant(scope, part.low).number
        if not 1 <= width <= MAXIMUM_BUS:
            raise self.fail(
                scope, value.line, f"a part of {value.name!r} must have 1 to {MAXIMUM_BUS} bits, but got {width}"
            )
        return width

    def part_range(self, scope: Scope, value: Reference, dimension: Dimension, part: Part) -> tuple[int, int]:
        """(lowest position, number of indices) of [high:low]."""
        assert part.low is not None
        high, low = (self.constant(scope, end).number for end in (part.high, part.low))
        start, end = self.range_position(scope, value, dimension, (high, low), ordered=True)
        return start, end - start + 1

    def range_position(
        self, scope: Scope, value: Reference, dimension: Dimension, ends: tuple[int, int], *, ordered: bool = False
    ) -> tuple[int, int]:
        """Positions of both ends, the lower first."""
        first, second = (position(dimension, index) for index in ends)
        if first is None or second is None or (ordered and first < second):
            selected = ":".join(map(str, dict.fromkeys(ends)))
            raise self.fail(
                scope,
                value.line,
                f"a selection must lie in [{dimension[0]}:{dimension[1]}] of {value.name!r}, in that order, but got "
                f"[{selected}]; correct it",
            )
        return min(first, second), max(first, second)

    def variable_part(
        self, scope: Scope, value: Reference, nets: list[int], dimension: Dimension, number: int
    ) -> list[int]:
        """Brackets from an index that is no constant on: what lies outside the range reads as 0."""
        part = value.parts[number]
        if number < len(value.parts) - 1:
            raise self.fail(scope, value.line, f"only the last index of {value.name!r} may be a signal; {SYNTHESISE}")
        place = scope.place(value.line)
        count = dimension_size(dimension)
        chunk = len(nets) // count
        width = self.part_width(scope, value, part) if part.kind else 1
        nets = self.read(scope, value, nets)
        # A part may begin below the first element and end inside: zeros below it make every such position positive.
        below = width - 1 if self.may_be_negative(scope, part, dimension, width) else 0
        nets = [*[ZERO] * (below * chunk), *nets]
        offset = self.offset(scope, part, dimension, width, place, below=below)
        if len(offset) > _MAXIMUM_LOOKUP or width > 1:
            shifted = [
                net_arithmetic.shift_right(self.flat, nets[k::chunk], offset, ZERO, place)[:width] for k in range(chunk)
            ]
            return [column[k] if k < len(column) else ZERO for k in range(width) for column in shifted]
        rows = 1 << len(offset)
        # Bit k of every element, as a lookup by position; positions beyond the last element read as 0.
        leaves = [[*nets[k::chunk], *[ZERO] * rows][:rows] for k in range(chunk)]
        return [net_arithmetic.select(self.flat, fold_constants(leaf), offset, place) for leaf in leaves]

    def may_be_negative(self, scope: Scope, part: Part, dimension: Dimension, width: int) -> bool:
        """Whether the lowest selected position can lie below the first element."""
        rising = dimension[0] < dimension[1]
        return self.size(scope, part.high).signed or rising or _lowest(part, dimension, width) < 0

    def offset(
        self, scope: Scope, part: Part, dimension: Dimension, width: int, place: Place, *, below: int = 0
    ) -> list[int]:
        """The position of the lowest selected bit: index - lsb, or lsb - index where a range counts upwards; plus
        `below`, the elements put in front of the first one."""
        own = self.size(scope, part.high)
        rising = dimension[0] < dimension[1]
        low = _lowest(part, dimension, width) + below
        index = fold_constants(self.self_determined(scope, part.high))
        if low == 0 and not rising and not own.signed:
            return index
        # Two bits more than either, so that neither the sum nor the difference wraps around; and as many as the number
        # of elements needs, so that a negative position, read as an unsigned one, lies beyond the last element.
        elements = dimension_size(dimension) + below
        bits = max(own.width, abs(low).bit_length(), elements.bit_length()) + 2
        index = extend(index, Size(bits, own.signed), bits)
        constant = constant_nets(low, bits)
        if rising:
            return net_arithmetic.subtract(self.flat, constant, index, place)
        return net_arithmetic.add(self.flat, index, constant, ZERO, place)

    def fail(self, scope: Scope, line: int, message: str) -> DesignError:
        """The error at a line of the module."""
        return self.flat.fail(scope.place(line), message)


def extend(nets: list[int], size: Size, bits: int) -> list[int]:
    """The low `bits` of a value in a context: `nets` extended by its top bit where the context is signed, else by 0."""
    if bits <= len(nets):
        return nets[:bits]
    fill = nets[-1] if size.signed else ZERO
    return nets + [fill] * (bits - len(nets))


def _lowest(part: Part, dimension: Dimension, width: int) -> int:
    """What is added to the index (or, where a range counts upwards, what the index is taken from)."""
    msb, lsb = dimension
    rising = msb < lsb
    low = lsb if rising else -lsb
    return low - (width - 1) if part.kind == ("+:" if rising else "-:") else low
