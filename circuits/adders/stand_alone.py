"""A stand-alone adder: two operands of n bits and their sum of n + 1, as immutable data with a netlist.

It is simulated, measured (`circuits.accuracy.adder_errors`), costed (`circuits.cost.adder_cost`) and exported like a
multiplier, and adds arrays: `add` for unsigned numbers, `accumulate` for a register in two's complement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.adders.adder_kinds import chosen_adder
from circuits.engine import integer_operations
from circuits.errors import DesignError
from circuits.netlists.logic import Logic
from circuits.netlists.lut_program import Program, lower
from circuits.netlists.netlist import Netlist, NetlistBuilder

MINIMUM_WIDTH, MAXIMUM_WIDTH = 1, 62


@dataclass(frozen=True)
class AdderDesign:
    """An adder of two n-bit operands, exactly.

    `netlist`: input buses `x` and `y` of n bits, output `sum` of n + 1. `name`: what it is called, for a generated one
    its kind with all options: "loa(lower=8)". Adders are equal where netlists are.
    """

    netlist: Netlist
    name: str

    def __post_init__(self) -> None:
        widths = [len(bus) for bus in self.netlist.inputs.values()]
        outputs = [len(bus) for bus in self.netlist.outputs.values()]
        if (
            len(widths) != 2
            or len(outputs) != 1
            or widths[0] != widths[1]
            or outputs[0] not in (widths[0], widths[0] + 1)
        ):
            raise DesignError(
                f"an adder must have two operands of one width n and a sum of n or n + 1 bits, but {self.name!r} has "
                f"inputs of {', '.join(map(str, widths))} and outputs of {', '.join(map(str, outputs))} bits; import "
                "such a circuit."
            )
        _check_width(widths[0])

    @property
    def width(self) -> int:
        """n, bits of an operand."""
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        x, y = (len(bus) for bus in self.netlist.inputs.values())
        return x, y

    @property
    def signed(self) -> bool:
        """Errors are those of unsigned operands."""
        return False

    @property
    def float_format(self) -> None:
        """None: its operands are integers."""
        return None

    @property
    def label(self) -> str:
        """The name."""
        return self.name

    @property
    def digest(self) -> str:
        """Hex digest of the behaviour: truth tables and structure, no names."""
        return hashlib.sha256(f"adder 1 {self.netlist.digest()}".encode()).hexdigest()

    def program(self) -> Program:
        """The LUT program of the netlist."""
        return _program(self.netlist)

    def add(self, a: ArrayLike, b: ArrayLike, *, backend: str = "auto") -> NDArray[Any]:
        """Bit-accurate sums of unsigned integers, 0 <= a, b < 2^n, broadcast against each other; uint64."""
        return integer_operations.multiply(self.program(), a, b, backend=backend)

    def accumulate(self, a: ArrayLike, b: ArrayLike, *, backend: str = "auto") -> NDArray[np.int64]:
        """What a register of n bits in two's complement holds after a + b: int64, the carry out dropped.

        -2^(n-1) <= a, b < 2^(n-1), broadcast against each other. An exact adder wraps around on overflow.
        """
        limit = 1 << (self.width - 1)
        words = []
        for name, values in (("a", a), ("b", b)):
            array = np.asarray(values)
            integer_operations.check(array, name, self.width, True)
            words.append(array.astype(np.int64).astype(np.uint64) & np.uint64(2 * limit - 1))
        total = self.add(*words, backend=backend).astype(np.uint64) & np.uint64(2 * limit - 1)
        unused = np.int64(64 - self.width)
        return np.asarray(total.view(np.int64) << unused >> unused)


def adder(text: str, width: int, options: Mapping[str, object] | None = None) -> AdderDesign:
    """The stand-alone adder that `text` names, such as "loa(lower=8)", for operands of `width` bits; more `options`.

    Raises DesignError, UnknownNameError for unknown kinds and options.

    >>> int(adder("loa(lower=2)", 4).add(5, 7))
    11
    """
    _check_width(width)
    chosen = chosen_adder(text, width, options)
    builder = NetlistBuilder(chosen.name)
    x, y = builder.input("x", width), builder.input("y", width)
    builder.output("sum", chosen.add(Logic(builder), x, y))
    return AdderDesign(builder.build(), str(chosen))


def _check_width(width: Any) -> None:
    if not isinstance(width, int) or isinstance(width, bool) or not MINIMUM_WIDTH <= width <= MAXIMUM_WIDTH:
        raise DesignError(
            f"{MINIMUM_WIDTH} <= width <= {MAXIMUM_WIDTH} must hold for an adder, but got {width!r}; choose an integer "
            "in that range."
        )


@lru_cache(maxsize=32)
def _program(netlist: Netlist) -> Program:
    return lower(netlist)
