"""The compiled gates of a float circuit, and the settings of the kernels around them."""

from __future__ import annotations

from functools import lru_cache

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_parts import FRACTION, WIDTH, KernelSettings
from circuits.engine.llvm.gates_function import CompiledProgram, compile_program
from circuits.netlists.lut_program import Program, restrict


@lru_cache(maxsize=64)
def float_gates(circuit: FloatCircuit) -> tuple[KernelSettings, CompiledProgram]:
    """The kernels' settings, and the compiled gates of `kernel_program`."""
    settings, program = kernel_program(circuit)
    return settings, compile_program(program)


def kernel_program(circuit: FloatCircuit) -> tuple[KernelSettings, Program]:
    """The kernels' settings, and the program that computes the product bits that the kernels read.

    Truncation drops all bits below the fraction of a product in [1, 2): below bit 46 - 23.
    """
    program = circuit.program()
    lowest = 2 * WIDTH - 2 - FRACTION if circuit.rounding == "truncate" else 0
    released = circuit.normalization == "released"
    settings = KernelSettings(program.outputs["product"], lowest, circuit.rounding, released)
    return settings, restrict(program, "product", lowest)
