"""Verilog as a syntax tree: expressions, statements, items and modules as plain data, before any width is known.

Equality ignores lines, so two ranges written alike are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from circuits.errors import DesignError

PRIMITIVES = ("and", "or", "xor", "nand", "nor", "xnor", "not", "buf")
"""Gates of the language."""


class Place(NamedTuple):
    """A line of a file."""

    where: str
    line: int

    def seen_from(self, other: Place) -> str:
        """The place in words, the file left out where it is the same."""
        return f"line {self.line}" if self.where == other.where else f"{self.where} line {self.line}"


def failure(place: Place, message: str) -> DesignError:
    """The error at a line of a file."""
    return DesignError(f"{place.where} line {place.line}: {message}.")


def _line() -> int:
    return field(compare=False)  # type: ignore[no-any-return]


# Expressions.


@dataclass(frozen=True, slots=True)
class Literal:
    """A number. `width` None: unsized. Bits of `unknown` are x, bits of `floating` are z (and 0 in `value`).

    `fill`: '0, '1 and 'x of SystemVerilog, which fill their context.
    """

    value: int
    width: int | None
    signed: bool
    line: int = _line()
    unknown: int = 0
    floating: int = 0
    fill: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What stands in brackets: `high : low`, `high +: low`, `high -: low`; `kind` "" is one index, `low` None."""

    kind: str
    high: Expression
    low: Expression | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A signal, parameter or genvar with any number of brackets; `path`: generate blocks before it, with indices."""

    name: str
    line: int = _line()
    parts: tuple[Part, ...] = ()
    path: tuple[tuple[str, Expression | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Concatenation:
    """`operands`, the most significant first, repeated `count` times (None: once)."""

    operands: tuple[Expression, ...]
    count: Expression | None
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Unary:
    """`operator`: ~ - + bitwise and arithmetic; ! logical; & | ^ ~& ~| ~^ reductions."""

    operator: str
    operand: Expression
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Operation:
    """Operands of one binding strength, joined from left to right by `operators`, one fewer."""

    operators: tuple[str, ...]
    operands: tuple[Expression, ...]
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Choice:
    """conditions[0] ? values[0] : conditions[1] ? values[1] : ... : values[-1]."""

    conditions: tuple[Expression, ...]
    values: tuple[Expression, ...]
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Call:
    """A system function ($signed, $unsigned, $clog2, $bits) or a function of the module."""

    name: str
    arguments: tuple[Expression, ...]
    line: int = _line()


Expression = Literal | Reference | Concatenation | Unary | Operation | Choice | Call
Range = tuple[Expression, Expression]


# Statements of always blocks and functions.


@dataclass(frozen=True, slots=True)
class Assign:
    """target = value; or target <= value; if `nonblocking`."""

    target: Expression
    value: Expression
    nonblocking: bool
    line: int = _line()


@dataclass(frozen=True, slots=True)
class If:
    """if (condition) yes; else no;"""

    condition: Expression
    yes: Statement
    no: Statement | None
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Case:
    """`kind` case, casez or casex; `branches`: (labels, statement), labels () for the default."""

    kind: str
    subject: Expression
    branches: tuple[tuple[tuple[Expression, ...], Statement], ...]
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Loop:
    """for (variable = start; condition; variable = step) body."""

    variable: str
    start: Expression
    condition: Expression
    step: Expression
    body: Statement
    line: int = _line()


@dataclass(frozen=True, slots=True)
class Sequence:
    """begin ... end, with declarations of its own."""

    statements: tuple[Statement, ...]
    declarations: tuple[Declaration, ...]
    line: int = _line()


Statement = Assign | If | Case | Loop | Sequence


# Declarations and items.


@dataclass(frozen=True, slots=True)
class Declaration:
    """A signal: `packed` ranges stand before its name, `unpacked` ones (of an array) behind it.

    `direction` input, output, inout or None; `kind` wire, reg, integer, genvar, supply0 or supply1.
    """

    name: str
    kind: str
    line: int
    direction: str | None = None
    signed: bool = False
    packed: tuple[Range, ...] = ()
    unpacked: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` None: untyped, takes the type of its value; else (range or None for one of 32 bits, signed)."""

    name: str
    value: Expression
    local: bool
    kind: tuple[Range | None, bool] | None
    line: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """assign target = value, or the value in a declaration."""

    target: Expression
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """`pins` and `parameters`: by name (port, expression or None) or by position (None, expression or None).

    `array`: the range of an array of instances.
    """

    module: str
    name: str
    pins: tuple[tuple[str | None, Expression | None], ...]
    line: int
    parameters: tuple[tuple[str | None, Expression | None], ...] = ()
    array: Range | None = None


@dataclass(frozen=True, slots=True)
class Always:
    """A combinational block; `clocked` names the edges of a sensitivity list that makes it a register."""

    statement: Statement
    clocked: str
    line: int


@dataclass(frozen=True, slots=True)
class GenerateFor:
    """for (genvar variable = start; condition; variable = step) body."""

    variable: str
    start: Expression
    condition: Expression
    step: Expression
    body: Body
    line: int


@dataclass(frozen=True, slots=True)
class GenerateIf:
    """The first body whose condition holds; a condition None always does. A case is written so, too."""

    branches: tuple[tuple[Expression | None, Body], ...]
    line: int


Item = Assignment | ModuleInstance | Always | GenerateFor | GenerateIf


@dataclass(frozen=True, slots=True)
class Function:
    """A function; its value is that of the variable named as itself. `inputs` in order, in `body.signals`."""

    name: str
    inputs: tuple[str, ...]
    body: Body
    statement: Statement
    line: int


@dataclass(slots=True)
class Body:
    """What a module or a generate block declares and holds.

    `repeated`: later declarations of ports, to be checked. `initial_values`: of variables that may have no driver.
    """

    name: str
    line: int
    parameters: list[Parameter] = field(default_factory=list)
    signals: dict[str, Declaration] = field(default_factory=dict)
    repeated: list[Declaration] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    initial_values: list[Assignment] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    """One module as written; `ports` in header order. `implicit`: undeclared names in connections are wires."""

    name: str
    where: str
    line: int
    ports: list[str] = field(default_factory=list)
    body: Body = field(default_factory=lambda: Body("", 0))
    implicit: bool = True
    ignored: list[tuple[str, int]] = field(default_factory=list)
