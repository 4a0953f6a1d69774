"""Simulation of LUT programs on bit-planes; every backend agrees bit for bit with `reference`."""

from __future__ import annotations

from circuits.engine.backends import reference
from circuits.engine.bit_planes import Planes
from circuits.errors import unknown_name
from circuits.netlists.lut_program import Program

BACKENDS = ("reference", "interpreted", "compiled")


def simulate(program: Program, inputs: Planes, backend: str = "compiled") -> Planes:
    """uint64 [output bits, words] from uint64 [input bits, words], 64 evaluations a word (see `engine.planes`).

    `backend`: "reference" (NumPy), "interpreted" (numba, nothing compiled per program) or "compiled" (LLVM, cached on
    disk). They agree bit for bit.
    """
    if backend == "reference":
        return reference.run(program, inputs)
    if backend == "interpreted":
        from circuits.engine.backends import interpreted

        return interpreted.run(program, inputs)
    if backend == "compiled":
        from circuits.engine.backends import compiled

        return compiled.run(program, inputs)
    raise unknown_name("backend", backend, BACKENDS)
