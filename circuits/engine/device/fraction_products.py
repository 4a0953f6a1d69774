"""Matrix products on a device of floats with at most 7 fraction bits: which circuits have a table of fractions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine import integer_operations
from circuits.engine.device import gate_products
from circuits.engine.device.gate_products import Operands
from circuits.engine.device.kernels.conversion_kernel import conversion_kernel
from circuits.engine.device.kernels.float_planes import FloatRules, float_rules
from circuits.engine.device.kernels.fraction_matmul_kernel import (
    BLOCKS,
    ROWS,
    FractionMatmul,
    fraction_matmul_kernel,
    weight_kernel,
)
from circuits.engine.device.kernels.thread_code import THREADS, Kernel
from circuits.engine.device.launching import KeptArrays, Launches, Memory
from circuits.engine.device.tile_launches import TiledProduct, tile_columns
from circuits.engine.llvm.float_parts import BIAS, FRACTION
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels.table_images import fraction_image
from circuits.floats import arithmetic
from circuits.floats.arithmetic import FloatFormat

_FRACTION_BITS = 7
_EXACT_BITS = 16
"""Fraction bits that hold any product of two significands of 8 bits, wherever its leading one is."""


def refusal(circuit: MultiplierCircuit, shared_bytes: int) -> str:
    """ "" if the kernel of fractions serves the circuit, else the reason as part of a sentence ("needs ...").

    `shared_bytes`: what a block of the device can have of shared memory.
    """
    fmt = circuit.float_format
    if fmt is None:
        return "needs a float format"
    if fmt.fraction_bits > _FRACTION_BITS:
        return f"needs at most {_FRACTION_BITS} fraction bits, but {fmt.name} has {fmt.fraction_bits}"
    reason = gate_products.refusal(circuit)
    if reason:
        return reason
    size = fraction_image(circuit).planes.nbytes
    if size > shared_bytes:
        return f"needs {size} bytes of shared memory a block, but the device has {shared_bytes}"
    return ""


def run(device: Launches, circuit: MultiplierCircuit, operands: Operands, places: Places) -> None:
    """`gathering.gathered_matmul` on a device; M, N and K are at least 1."""
    rules, image = float_rules(circuit), fraction_image(circuit)
    columns = operands.w_size // places.depth // places.groups
    kind = FractionMatmul(rules, image.plane_count, image.raised, tile_columns(device, ROWS, places, columns))
    product = TiledProduct(places, columns, ROWS, kind.columns, BLOCKS)
    conversion, weight_preparation, matmul = _kernels(kind)
    x = _converted(device, conversion, operands.x, operands.x_size)
    w = _converted(device, conversion, operands.w, operands.w_size)
    weights = product.weights(device, weight_preparation, w.address, kind.weight_words, 1)
    entries = _ENTRIES.copied(device, circuit, fraction_entries)
    exact = _EXACT.copied(device, circuit, exact_entries).address if rules.gradual else 0
    product.run(device, matmul, operands, entries, x.address, weights, (exact,))


def _converted(device: Launches, kernel: Kernel, address: int, count: int) -> Memory:
    memory = device.empty(4 * count)
    device.launch(kernel, (address, memory.address, count), -(-count // THREADS), 1)
    return memory


@lru_cache(maxsize=64)
def _kernels(kind: FractionMatmul) -> tuple[Kernel, Kernel, Kernel]:
    return _conversion(kind.rules), weight_kernel(kind), fraction_matmul_kernel(kind)


@lru_cache(maxsize=64)
def _conversion(rules: FloatRules) -> Kernel:
    return conversion_kernel(rules)


_ENTRIES, _EXACT = KeptArrays(), KeptArrays()


def fraction_entries(circuit: MultiplierCircuit) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """[128 fractions of w, 128 of x]: the entries of `fraction_matmul_kernel`, uint8 if they fit, else uint16."""
    planes = fraction_image(circuit).planes
    if planes.shape[1] == 1:
        return np.ascontiguousarray(planes[:, 0])
    return planes[:, 0] | planes[:, 1].astype(np.uint16) << np.uint16(8)


def exact_entries(circuit: MultiplierCircuit) -> NDArray[np.uint32]:
    """uint32 [128 fractions of w, 128 of x]: float32 words of products of significands before rounding, less 1.0's."""
    fmt = circuit.float_format
    assert fmt is not None
    step = 1 << _FRACTION_BITS - fmt.fraction_bits
    significands = (1 + np.arange(0, 128, step) / 128).astype(np.float32)
    # In a format of more fraction bits nothing is rounded; the circuit gets the upper bits of the longer significands.
    unused = np.uint64(_EXACT_BITS - fmt.fraction_bits)
    products = arithmetic.multiply(
        FloatFormat("", 8, _EXACT_BITS),
        significands,
        significands[:, None],
        lambda x, w: integer_operations.multiply(circuit.program(), x >> unused, w >> unused) << unused * np.uint64(2),
        rounding="truncate",
        normalization=circuit.normalization,
        subnormals="flush",
    )
    entries = np.zeros((128, 128), dtype=np.uint32)
    entries[::step, ::step] = products.view(np.uint32) - np.uint32(BIAS << FRACTION)
    return entries
