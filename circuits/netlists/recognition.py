"""Recognises what a circuit of two operands computes from samples: a product, signed or unsigned, or another function.

A file that holds an adder or divider has the same ports as one with a multiplier, and a signed multiplier has the same
ports as an unsigned one. A result is about the sampled pairs (all pairs where there are few) and proves nothing beyond
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine import integer_operations
from circuits.engine.backends.backend import NEVER_COMPILES
from circuits.netlists.imported import as_multiplier
from circuits.netlists.lut_program import lower
from circuits.netlists.netlist import Netlist

EXHAUSTIVE_BITS = 16
"""Operand bits up to which all pairs are compared, unless the circuit is very large."""
_EXHAUSTIVE_INSTANCES = 10_000
_SHORT_PROGRAM = 4000
SAMPLED_PAIRS = 4096
FAR_BETTER = 4.0
"""How many times smaller the mean difference of another reading must be for the user to be told of it."""
FAR = 0.5
"""Mean difference over mean value from which a circuit counts as far from a function."""

Integers = NDArray[Any]
"""An array of Python integers: products may have 128 bits."""


@dataclass(frozen=True)
class Function:
    """A function of two operands: `text` is its formula, `circuit` the name of a circuit that computes it.

    `divisor`: which operand, 0 or 1, it divides by; pairs in which that operand is 0 are left out.
    """

    text: str
    circuit: str
    signed: bool
    values: Callable[[Integers, Integers], Integers]
    divisor: int | None = None


@dataclass(frozen=True)
class Fit:
    """How near a circuit is to a function: `error` is the mean |difference| over the mean |value|, 0 if equal."""

    function: Function
    error: float


@dataclass(frozen=True)
class Recognition:
    """What a circuit fits: `product`, the fits of x * y by signedness, and `other`, the nearest other function.

    `pairs`: number of operand pairs compared, all that exist if `exhaustive`.
    """

    product: Mapping[bool, Fit]
    other: Fit
    pairs: int
    exhaustive: bool

    @property
    def is_other(self) -> bool:
        """Whether the circuit is not a multiplier: it equals another function, or is much nearer to one."""
        best = min(fit.error for fit in self.product.values())
        return best > 0 and self.other.error < FAR and self.other.error * FAR_BETTER < best

    @property
    def sample(self) -> str:
        """The pairs, in words."""
        return f"all {self.pairs} operand pairs" if self.exhaustive else f"{self.pairs} sampled operand pairs"

    def better_signedness(self, signed: bool) -> bool | None:
        """The other signedness if its product fits much better than that of `signed`, else None."""
        chosen, other = self.product[signed], self.product[not signed]
        return not signed if other.error < FAR and other.error * FAR_BETTER < chosen.error else None


def _product(x: Integers, y: Integers) -> Integers:
    return np.asarray(x * y)


OTHERS = (
    Function("x + y", "an adder", False, lambda x, y: x + y),
    Function("x + y", "a signed adder", True, lambda x, y: x + y),
    Function("x - y", "a subtractor", False, lambda x, y: x - y),
    Function("x - y", "a signed subtractor", True, lambda x, y: x - y),
    Function("y - x", "a subtractor", False, lambda x, y: y - x),
    Function("y - x", "a signed subtractor", True, lambda x, y: y - x),
    Function("|x - y|", "a circuit for absolute differences", False, lambda x, y: abs(x - y)),
    Function("x / y", "a divider", False, lambda x, y: x // y, divisor=1),
    Function("y / x", "a divider", False, lambda x, y: y // x, divisor=0),
    Function("x mod y", "a divider's remainder", False, lambda x, y: x % y, divisor=1),
    Function("y mod x", "a divider's remainder", False, lambda x, y: y % x, divisor=0),
    Function("max(x, y)", "a maximum", False, np.maximum),
    Function("min(x, y)", "a minimum", False, np.minimum),
)
"""Functions whose circuits may be mistaken for multipliers, the likeliest first."""


def recognise(netlist: Netlist, *, seed: int = 0) -> Recognition:
    """Compares a circuit of two input buses and one output bus (see `imported.as_multiplier`) with known functions.

    An output of fewer bits than x * y is compared with the lowest bits of each function and, for products, also with
    the highest ones.
    """
    widths = [len(bus) for bus in netlist.inputs.values()]
    (output,) = netlist.outputs.values()
    exhaustive = sum(widths) <= EXHAUSTIVE_BITS and len(netlist.instances) <= _EXHAUSTIVE_INSTANCES
    operands = _all_pairs(widths) if exhaustive else _sampled_pairs(widths, seed)
    program = lower(as_multiplier(netlist, signed=False))
    # The interpreted backend takes a moment to load, and then a fiftieth of the time.
    backend = "reference" if len(program) <= _SHORT_PROGRAM else NEVER_COMPILES
    raw = integer_operations.multiply(program, *operands, signed=False, backend=backend).astype(object)
    by_signedness = {
        signed: [_signed(values, width) if signed else values for values, width in zip(operands, widths, strict=True)]
        for signed in (False, True)
    }
    sample = _Sample(raw, len(output), by_signedness)
    products = {
        signed: min((sample.fit(function) for function in _products(widths, len(output), signed)), key=_error)
        for signed in (False, True)
    }
    other = min((sample.fit(function) for function in OTHERS), key=_error)
    return Recognition(products, other, raw.size, exhaustive)


def _error(fit: Fit) -> float:
    return fit.error


@dataclass(frozen=True)
class _Sample:
    """The circuit's output, `raw`, as unsigned integers of `bits` bits, and its `operands` by signedness."""

    raw: Integers
    bits: int
    operands: Mapping[bool, list[Integers]]

    def fit(self, function: Function) -> Fit:
        """How near the output is to `function`, both modulo 2^bits."""
        x, y = self.operands[function.signed]
        raw = self.raw
        if function.divisor is not None:
            defined = (x, y)[function.divisor] != 0
            x, y, raw = x[defined], y[defined], raw[defined]
        values = function.values(x, y) & (1 << self.bits) - 1
        if (values == raw).all():
            return Fit(function, 0.0)
        if function.signed:
            values, raw = _signed(values, self.bits), _signed(raw, self.bits)
        scale = int(abs(values).sum())
        return Fit(function, float("inf") if scale == 0 else int(abs(values - raw).sum()) / scale)


def _products(widths: list[int], bits: int, signed: bool) -> list[Function]:
    missing = sum(widths) - bits
    functions = [Function("x * y", "a multiplier", signed, _product)]
    if missing > 0:
        text = f"x * y / 2^{missing}"
        functions.append(Function(text, "a multiplier", signed, lambda x, y: x * y >> missing))
    return functions


def _signed(values: Integers, width: int) -> Integers:
    """The values read as two's complement of `width` bits."""
    return np.asarray(values - ((values >> (width - 1)) << width))


def _all_pairs(widths: list[int]) -> list[Integers]:
    x, y = (np.arange(1 << width).astype(object) for width in widths)
    return [np.repeat(x, y.size), np.tile(y, x.size)]


def _sampled_pairs(widths: list[int], seed: int) -> list[Integers]:
    """Uniform pairs, and all pairs of corner values."""
    stream = np.random.default_rng(seed)
    corners = [sorted({0, 1, 2, (1 << w - 1) - 1, 1 << w - 1, (1 << w) - 2, (1 << w) - 1}) for w in widths]
    x = [a for a in corners[0] for _ in corners[1]]
    y = corners[1] * len(corners[0])
    sampled = [stream.integers(0, 2**w, SAMPLED_PAIRS, dtype=np.uint64, endpoint=False).tolist() for w in widths]
    return [np.array([*corner, *uniform], dtype=object) for corner, uniform in zip((x, y), sampled, strict=True)]
