"""Matrix products of narrow codes on a device: which circuits have a table, and the table itself."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.gate_products import Operands
from circuits.engine.device.kernels.conversion_kernel import code_values, conversion_kernel
from circuits.engine.device.kernels.float_planes import FloatRules, float_rules
from circuits.engine.device.kernels.table_matmul_kernel import ROWS, TableMatmul, table_matmul_kernel, weight_kernel
from circuits.engine.device.kernels.thread_code import THREADS, Kernel
from circuits.engine.device.launching import KeptArrays, Launches, Memory
from circuits.engine.device.tile_launches import TiledProduct, tile_columns
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit

_BITS = 8


def refusal(circuit: MultiplierCircuit, shared_bytes: int) -> str:
    """ "" if the table kernels serve the circuit, else the reason as part of a sentence ("needs ...").

    `shared_bytes`: what a block of the device can have of shared memory.
    """
    x_bits, w_bits = _code_bits(circuit)
    if max(x_bits, w_bits) > _BITS:
        return f"needs operands of at most {_BITS} bits, but the design's have {max(x_bits, w_bits)}"
    if circuit.float_format is None and len(circuit.program().results) > 16:
        return f"needs products of at most 16 bits, but the design's have {len(circuit.program().results)}"
    size = 2 << (x_bits + w_bits)
    if size > shared_bytes:
        return f"needs {size} bytes of shared memory a block, but the device has {shared_bytes}"
    return ""


def run(device: Launches, circuit: MultiplierCircuit, operands: Operands, places: Places) -> None:
    """`gathering.gathered_matmul` on a device; M, N and K are at least 1."""
    columns = operands.w_size // places.depth // places.groups
    floats = circuit.float_format is not None
    kind = TableMatmul(
        *_code_bits(circuit),
        sums="float" if floats else f"i{operands.sum_bits}",
        signed=circuit.signed,
        columns=tile_columns(device, ROWS, places, columns),
    )
    x, w = operands.x, operands.w
    if floats:
        codes = [_codes(device, circuit, *of) for of in ((x, operands.x_size), (w, operands.w_size))]
        x, w = (memory.address for memory in codes)
    product = TiledProduct(places, columns, ROWS, kind.columns)
    offsets, matmul = _kernels(kind)
    weights = product.weights(device, offsets, w, kind.columns, kind.columns)
    product.run(device, matmul, operands, _ENTRIES.copied(device, circuit, table_entries), x, weights)


def _code_bits(circuit: MultiplierCircuit) -> tuple[int, int]:
    fmt = circuit.float_format
    if fmt is None:
        return circuit.shape
    bits = 1 + fmt.exponent_bits + fmt.fraction_bits
    return bits, bits


def _codes(device: Launches, circuit: MultiplierCircuit, address: int, count: int) -> Memory:
    memory = device.empty(count)
    device.launch(_conversion(float_rules(circuit)), (address, memory.address, count), -(-count // THREADS), 1)
    return memory


@lru_cache(maxsize=64)
def _kernels(kind: TableMatmul) -> tuple[Kernel, Kernel]:
    return weight_kernel(kind), table_matmul_kernel(kind)


@lru_cache(maxsize=64)
def _conversion(rules: FloatRules) -> Kernel:
    return conversion_kernel(rules, codes=True)


_ENTRIES = KeptArrays()


def table_entries(circuit: MultiplierCircuit) -> NDArray[np.uint16]:
    """uint16 [2^w_bits * 2^x_bits]: the product of each pair of codes by the circuit's gates, x codes in rows.

    Integers in 16 bits of two's complement; floats as the upper half of their float32 word, whose lower one is 0.
    """
    if circuit.float_format is not None:
        values = code_values(float_rules(circuit))
        with np.errstate(invalid="ignore", over="ignore"):
            words = circuit.multiply(values[None, :], values[:, None]).view(np.uint32)
        # The only floats with more than eight significant bits are NaN, of which any will do.
        return (words >> 16).astype(np.uint16).ravel() | np.where(words & 0x7FFFFFFF > 0x7F800000, 1, 0).astype(
            np.uint16
        ).ravel()
    x, w = (_integers(width, circuit.signed) for width in circuit.shape)
    return np.ascontiguousarray(
        circuit.multiply_integers(x[None, :], w[:, None]).astype(np.int64).astype(np.uint16)
    ).ravel()


def _integers(width: int, signed: bool) -> NDArray[np.int64]:
    """The integers whose codes are 0, 1, ..."""
    codes = np.arange(1 << width)
    return np.where(codes >> (width - 1) & 1, codes - (1 << width), codes) if signed else codes
