"""Simulation of a LUT program on bit-planes by any backend."""

from __future__ import annotations

from circuits.engine.backends.backend import FASTEST, find_backend
from circuits.engine.bit_planes import Planes
from circuits.netlists.lut_program import Program


def simulate(program: Program, inputs: Planes, backend: str = FASTEST) -> Planes:
    """uint64 [output bits, words] from uint64 [input bits, words], 64 evaluations a word (see `engine.bit_planes`).

    `backend`: "reference" (NumPy), "interpreted" (numba, compiles nothing per program) or "compiled" (LLVM, cached on
    disk). They agree bit for bit. Raises UnknownNameError.
    """
    return find_backend(backend).run(program, inputs)
