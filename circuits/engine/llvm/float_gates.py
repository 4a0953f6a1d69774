"""The compiled gates of a float circuit, and the settings of the kernels around them."""

from __future__ import annotations

from functools import lru_cache

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_parts import BIAS, KernelSettings
from circuits.engine.llvm.gates_function import CompiledProgram, compile_program
from circuits.netlists.lut_program import Program, restrict


@lru_cache(maxsize=64)
def float_gates(circuit: FloatCircuit) -> tuple[KernelSettings, CompiledProgram]:
    """The kernels' settings, and the compiled gates of `kernel_program`."""
    settings, program = kernel_program(circuit)
    return settings, compile_program(program)


def kernel_program(circuit: FloatCircuit) -> tuple[KernelSettings, Program]:
    """The kernels' settings, and the program that computes the product bits that the kernels read."""
    settings = kernel_settings(circuit)
    return settings, restrict(circuit.program(), "product", settings.lowest)


@lru_cache(maxsize=64)
def kernel_settings(circuit: FloatCircuit) -> KernelSettings:
    """The settings of the kernels for a float circuit.

    Truncation drops all bits below the fraction of a product in [1, 2): below bit 2 F - F, in float32 46 - 23.
    """
    fmt = circuit.float_format
    assert fmt is not None
    return KernelSettings(
        product_bits=circuit.program().outputs["product"],
        lowest=fmt.fraction_bits if circuit.rounding == "truncate" else 0,
        rounding=circuit.rounding,
        released=circuit.normalization == "released",
        fraction=fmt.fraction_bits,
        least=BIAS + fmt.minimum_exponent,
        most=BIAS + (1 << fmt.exponent_bits) - 1 - fmt.infinity - fmt.bias,
        infinity=fmt.infinity,
        gradual=circuit.subnormals == "ieee",
    )
