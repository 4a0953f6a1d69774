"""Bit-accurate simulation of circuits: LUT programs on bit-planes, and integer, float and matrix products from them.

`backends/` holds one file per way to run a LUT program, `llvm/` the kernels that the compiled one is made of,
`matrix_products/` what convolution and linear layers call, and `device/` the same on a CUDA device. The engine knows no
designs: it works on a `Program`, or for float products on what `float_circuit.FloatCircuit` asks for.
"""

from circuits.engine.backends.backend import BACKENDS
from circuits.engine.simulation import simulate

__all__ = ["BACKENDS", "simulate"]
