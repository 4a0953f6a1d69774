"""The compiled backend: machine code for each program, made by LLVM and cached on disk."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.backends.backend import Backend, FloatProducts, IntegerProducts, Words
from circuits.engine.bit_planes import Planes
from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.elementwise_kernel import multiply_kernel
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.float_parts import scratch_bytes
from circuits.engine.llvm.gates_function import compile_program
from circuits.engine.llvm.integers.integer_kernel import integer_kernel, integer_scratch_bytes
from circuits.engine.task_threads import scratch_address
from circuits.netlists.lut_program import Program


def run(program: Program, inputs: Planes) -> Planes:
    """Output planes, uint64 [outputs, words], of the input planes uint64 [inputs, words]."""
    count, words = inputs.shape
    blocks = -(-words // 8)  # a block takes 8 words of every plane
    padded = np.zeros((count, blocks * 8), dtype=np.uint64)
    padded[:, :words] = inputs
    # The kernel wants [block][plane][8 words]. Gates work lane by lane, so that the order of lanes in a block is free.
    by_block = np.ascontiguousarray(padded.reshape(count, blocks, 8).swapaxes(0, 1))
    result = compile_program(program).simulate(by_block)
    planes = result.swapaxes(0, 1).reshape(len(program.results), blocks * 8)
    return np.ascontiguousarray(planes[:, :words])


def integer_products(program: Program) -> IntegerProducts:
    """The integer kernel around the program's gates."""
    (_, x_width), (_, y_width) = program.inputs.items()
    widths, bits = (x_width, y_width), len(program.results)
    gates, kernel, size = compile_program(program), integer_kernel(widths, bits), integer_scratch_bytes(widths, bits)

    def multiply(x: Words, y: Words, out: Words) -> None:
        # One a call, not one a kernel: calls may run in several threads at once.
        scratch = np.empty(size, dtype=np.uint8)
        addresses = (array.ctypes.data for array in (x, y, out))
        kernel(gates.gates_address, *addresses, x.shape[1] // BLOCK, x.shape[1], scratch.ctypes.data)

    return multiply


@lru_cache(maxsize=64)
def float_products(circuit: FloatCircuit) -> FloatProducts:
    """The elementwise float kernel around the circuit's gates."""
    settings, gates = float_gates(circuit)
    kernel = multiply_kernel(settings)
    scratch = scratch_bytes(0)

    def run_blocks(x: NDArray[np.float32], w: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        addresses = (array.ctypes.data for array in (x, w, out))
        kernel(gates.gates_address, *addresses, x.size // BLOCK, scratch_address(scratch))

    def multiply(x: NDArray[np.float32], w: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        run_blocks(x, w, out)
        if rest := x.size % BLOCK:
            # The kernel knows whole blocks only; the empty lanes multiply zeros.
            tail = np.zeros((3, BLOCK), dtype=np.float32)
            tail[0, :rest] = x[-rest:]
            tail[1, :rest] = w[-rest:]
            run_blocks(*tail)
            out[-rest:] = tail[2, :rest]

    return multiply


BACKEND = Backend(run, integer_products, float_products)
