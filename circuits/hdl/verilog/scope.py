"""Names and what they stand for: signals with their nets, and constants, in modules and in the blocks inside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuits.hdl.verilog.syntax.tree import Body, Function, Module, Place

Dimension = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Constant:
    """The value of a parameter or genvar, 0 <= value < 2^width."""

    value: int
    width: int
    signed: bool

    @property
    def number(self) -> int:
        """The value with its sign."""
        negative = self.signed and self.value >> (self.width - 1) & 1
        return self.value - (1 << self.width) if negative else self.value


@dataclass(slots=True)
class Signal:
    """A declared signal. `dimensions` (msb, lsb): those of an array (`arrays` many), then the packed ones.

    `nets`: element after element, each least significant bit first. No dimensions: one bit.
    """

    dimensions: tuple[Dimension, ...]
    arrays: int
    signed: bool
    direction: str | None
    kind: str
    nets: list[int]
    line: int = 0


def dimension_size(dimension: Dimension) -> int:
    """How many indices a range has."""
    return abs(dimension[0] - dimension[1]) + 1


def position(dimension: Dimension, index: int) -> int | None:
    """Where an index stands in its range, 0 for the right one; None outside it."""
    msb, lsb = dimension
    offset = index - lsb if msb >= lsb else lsb - index
    return offset if 0 <= offset < dimension_size(dimension) else None


@dataclass(slots=True)
class Scope:
    """The names of a module, or of a generate block or function inside it (`parent`). `prefix` begins names of nets.

    `blocks`: generate blocks by name and index (None for one without).
    """

    module: Module
    body: Body
    prefix: str
    parent: Scope | None = None
    signals: dict[str, Signal] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    blocks: dict[str, dict[int | None, Scope]] = field(default_factory=dict)

    def find(self, name: str) -> Signal | Constant | None:
        """What a name means here: the innermost declaration."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.signals:
                return scope.signals[name]
            if name in scope.constants:
                return scope.constants[name]
            scope = scope.parent
        return None

    def function(self, name: str) -> tuple[Function, Scope] | None:
        """A function and the scope that it is declared in."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.body.functions:
                return scope.body.functions[name], scope
            scope = scope.parent
        return None

    def block(self, name: str) -> dict[int | None, Scope] | None:
        """The generate blocks of a name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.blocks:
                return scope.blocks[name]
            scope = scope.parent
        return None

    def names(self) -> list[str]:
        """All names that are visible here."""
        inner = [*self.signals, *self.constants]
        return inner if self.parent is None else [*inner, *self.parent.names()]

    def place(self, line: int) -> Place:
        """A line of the module's file."""
        return Place(self.module.where, line)
