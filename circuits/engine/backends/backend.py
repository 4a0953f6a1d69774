"""What a backend is, and the list of them. A new backend is one file in this folder and one line in MODULES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import Planes
from circuits.engine.float_circuit import FloatCircuit
from circuits.errors import unknown_name
from circuits.netlists.lut_program import Program

Words = NDArray[np.uint32]
"""Limbs of many integers, uint32 [limbs, lanes], the least significant limb first."""

IntegerProducts = Callable[[Words, Words, Words], None]
"""products(x, y, out): all C-contiguous, lanes a multiple of 512. It ignores operand bits from the width up."""

FloatProducts = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], None]
"""products(x, w, out): contiguous float32 [n]."""


@dataclass(frozen=True)
class Backend:
    """A way to simulate LUT programs. A backend's module defines one as `BACKEND`.

    `run`: uint64 [output bits, words] from a program and uint64 [input bits, words] (see `circuits.engine.bit_planes`),
    bit for bit as `reference` gives it. It suffices for everything; the others are faster ways, where there are any:
    `integer_products` multiplies the two operands of a program, `float_products` those of a float circuit. Every
    function may run in several threads at once.
    """

    run: Callable[[Program, Planes], Planes]
    integer_products: Callable[[Program], IntegerProducts] | None = None
    float_products: Callable[[FloatCircuit], FloatProducts] | None = None


MODULES = {
    "reference": "circuits.engine.backends.reference",
    "interpreted": "circuits.engine.backends.interpreted",
    "compiled": "circuits.engine.backends.compiled",
}
"""Backend name -> module, imported when the backend is first asked for: numba and LLVM take a moment to load."""

BACKENDS = tuple(MODULES)
"""Names of the backends."""

FASTEST = "compiled"
"""The backend with most evaluations a second, once it has compiled a program."""

NEVER_COMPILES = "interpreted"
"""The backend that starts at once on any program."""


@cache
def find_backend(name: str) -> Backend:
    """The backend of that name; UnknownNameError names the nearest valid names."""
    if name not in MODULES:
        raise unknown_name("backend", name, MODULES)
    backend = import_module(MODULES[name]).BACKEND
    # import_module returns Any; the assertion also catches a backend file without a proper BACKEND.
    assert isinstance(backend, Backend)
    return backend
