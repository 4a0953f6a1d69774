"""Constant expressions as a module is set up: parameters with their types, ranges, and the nets of declared signals."""

from __future__ import annotations

from collections.abc import Iterable

from circuits.hdl.verilog.evaluation.evaluate import Evaluator
from circuits.hdl.verilog.evaluation.widths import UNSIZED, Size
from circuits.hdl.verilog.flat import WRITTEN_ONE, WRITTEN_ZERO
from circuits.hdl.verilog.scope import Constant, Dimension, Scope, Signal, dimension_size
from circuits.hdl.verilog.syntax.expression_parser import MAXIMUM_BUS
from circuits.hdl.verilog.syntax.tree import Declaration, Parameter, Range

_MAXIMUM_ARRAY = 1 << 16
_MAXIMUM_INDEX = 1 << 20


def parameter_value(evaluator: Evaluator, scope: Scope, parameter: Parameter, given: Constant | None) -> Constant:
    """The value of a parameter: the `given` one or its default, in its own type where it has one."""
    if parameter.kind is None:
        return given or evaluator.constant(scope, parameter.value)
    bounds, signed = parameter.kind
    width = UNSIZED if bounds is None else dimension_size(dimension(evaluator, scope, bounds, parameter.line))
    if given is not None:
        return Constant(given.number & (1 << width) - 1, width, signed)
    # As an assignment to a variable of the parameter's type: evaluated in the wider of both widths, then cut.
    own = evaluator.size(scope, parameter.value)
    value = evaluator.constant_in(scope, parameter.value, Size(max(own.width, width), own.signed))
    return Constant(value.value & (1 << width) - 1, width, signed)


def dimension(evaluator: Evaluator, scope: Scope, bounds: Range, line: int) -> Dimension:
    """(msb, lsb) of a range."""
    msb, lsb = (evaluator.constant(scope, end).number for end in bounds)
    if max(abs(msb), abs(lsb)) > _MAXIMUM_INDEX:
        raise evaluator.fail(scope, line, f"a constant must be at most 2^20, but got [{msb}:{lsb}]; correct it")
    return msb, lsb


def declare(evaluator: Evaluator, scope: Scope, declaration: Declaration, nets: list[int] | None = None) -> Signal:
    """A signal of the scope, with new nets unless a port brings its own."""
    line = declaration.line
    unpacked = [dimension(evaluator, scope, bounds, line) for bounds in declaration.unpacked]
    packed = [dimension(evaluator, scope, bounds, line) for bounds in declaration.packed]
    width, elements = _count(packed), _count(unpacked)
    if width > MAXIMUM_BUS:
        msb, lsb = packed[0]
        raise evaluator.fail(
            scope, line, f"a bus must have at most {MAXIMUM_BUS} bits, but got [{msb}:{lsb}]; split it"
        )
    if width * elements > _MAXIMUM_ARRAY:
        raise evaluator.fail(
            scope,
            line,
            f"an array must have at most {_MAXIMUM_ARRAY} bits, but {declaration.name!r} has more; split it",
        )
    signal = Signal(
        (*unpacked, *packed), len(unpacked), declaration.signed, declaration.direction, declaration.kind, [], line
    )
    signal.nets = _new_nets(evaluator, scope.prefix + declaration.name, signal) if nets is None else nets
    if declaration.kind.startswith("supply"):
        value = WRITTEN_ONE if declaration.kind == "supply1" else WRITTEN_ZERO
        for net in signal.nets:
            evaluator.flat.drive(net, scope.place(line), value)
    scope.signals[declaration.name] = signal
    return signal


def _new_nets(evaluator: Evaluator, name: str, signal: Signal) -> list[int]:
    names = [name]
    for msb, lsb in signal.dimensions:
        #   [7:0] counts up from lsb, [0:7] down to it: either way lsb is the first net, the least significant one.
        step = 1 if msb >= lsb else -1
        indices = range(lsb, msb + step, step)
        names = [f"{name}[{index}]" for name in names for index in indices] if len(indices) > 1 else names
    return [evaluator.flat.new(name) for name in names]


def _count(dimensions: Iterable[Dimension]) -> int:
    count = 1
    for bounds in dimensions:
        count *= dimension_size(bounds)
    return count
