"""Matrix products through gates on a device: which operand goes into lanes, and memory for its planes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.kernels.code_planes import CodeRules
from circuits.engine.device.kernels.conversion_kernel import conversion_kernel
from circuits.engine.device.kernels.float_planes import FloatRules, float_rules
from circuits.engine.device.kernels.gate_matmul_kernel import GateMatmul, gate_matmul_kernel
from circuits.engine.device.kernels.packing_kernel import LANES, PackedKind, packing_kernel
from circuits.engine.device.kernels.thread_code import THREADS, Kernel
from circuits.engine.device.launching import Launches, Memory
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit, code_dtype
from circuits.netlists.lut_program import restrict

_PLANES_BYTES = 512 << 20
"""Memory for planes; larger products are computed some lanes at a time."""
_TILE = 32
"""Most lane groups of a tile: the threads of a warp."""


@dataclass(frozen=True)
class Operands:
    """Addresses and element counts of a product's operands, and the address of its results.

    x and w as `gathering.gathered_matmul` takes them; `sum_bits`: 64 where integer sums are int64, else 32.
    """

    x: int
    x_size: int
    w: int
    w_size: int
    out: int
    sum_bits: int = 32


def refusal(circuit: MultiplierCircuit) -> str:
    """ "" if the gate kernels serve the circuit, else the reason as part of a sentence ("needs ...")."""
    if circuit.float_format is None:
        if max(circuit.shape) > 32:
            return f"needs operands of at most 32 bits, but the design has {max(circuit.shape)}"
        return ""
    fmt = circuit.float_format
    if circuit.subnormals == "ieee" and (fmt.exponent_bits > 7 or fmt.fraction_bits > 22):
        return f"needs subnormals='flush' in formats as large as {fmt.name}, but the design has 'ieee'"
    return ""


def run(device: Launches, circuit: MultiplierCircuit, operands: Operands, places: Places) -> None:
    """`gathering.gathered_matmul` on a device; M, N and K are at least 1."""
    columns = operands.w_size // places.depth // places.groups
    x_first = -(-places.rows // LANES) * columns <= -(-columns // LANES) * places.rows
    kernels = _kernels(circuit, x_first, operands.sum_bits)
    x, w, keep = operands.x, operands.w, []
    if kernels.conversion is not None:
        converted = [
            _converted(device, kernels.conversion, *operand) for operand in ((x, operands.x_size), (w, operands.w_size))
        ]
        keep += converted
        x, w = (memory.address for memory in converted)
    offsets = device_offsets(device, places, columns)
    x_side = _Side(x, offsets.x_at, offsets.x_step, offsets.row_out, places.rows, places.x_group)
    w_side = _Side(w, offsets.w_at, offsets.w_step, offsets.column_out, columns, columns * places.depth)
    lanes, others = (x_side, w_side) if x_first else (w_side, x_side)
    _run_chunks(device, kernels, lanes, others, operands.out, places)


@dataclass(frozen=True)
class _Side:
    """One operand: element k of index i in group g is data[at[i] + step[k] + g group], its results at out[i]."""

    data: int
    at: Memory
    step: Memory
    out: Memory
    count: int
    group: int


@dataclass(frozen=True)
class _Kernels:
    quads: int
    packing: Kernel
    matmul: Kernel
    conversion: Kernel | None


@lru_cache(maxsize=64)
def _kernels(circuit: MultiplierCircuit, x_first: bool, sum_bits: int) -> _Kernels:
    program = circuit.program()
    bits = (32, 32)
    rules: FloatRules | CodeRules
    conversion = None
    if circuit.float_format is None:
        rules = CodeRules(circuit.shape, len(program.results), circuit.signed, sum_bits)
        sizes = [np.dtype(code_dtype(width, circuit.signed)).itemsize for width in circuit.shape]
        bits = (8 * sizes[0], 8 * sizes[1])
    else:
        rules = float_rules(circuit)
        program = restrict(program, "product", rules.lowest)
        if circuit.format != "float32" or circuit.subnormals != "flush":
            conversion = conversion_kernel(rules)
    packed = PackedKind(bits[0 if x_first else 1], rules, x_first)
    matmul = gate_matmul_kernel(GateMatmul(program, packed, bits[1 if x_first else 0]))
    return _Kernels(packed.quads, packing_kernel(packed), matmul, conversion)


@dataclass(frozen=True)
class DeviceOffsets:
    """The offsets of a product in the device's memory, int64."""

    x_at: Memory
    x_step: Memory
    row_out: Memory
    w_at: Memory
    w_step: Memory
    column_out: Memory


def device_offsets(device: Launches, places: Places, columns: int) -> DeviceOffsets:
    """The offsets that a product's places stand for, copied to the device once."""
    key = ("device offsets", device.key, columns)
    if key not in places.prepared:
        arrays: list[NDArray[Any]] = [
            places.x_at,
            places.x_step,
            places.out_at,
            np.arange(columns) * places.depth,
            np.arange(places.depth),
            np.arange(columns) * places.out_step,
        ]
        contiguous = (np.ascontiguousarray(array, dtype=np.int64) for array in arrays)
        places.prepared[key] = DeviceOffsets(*(device.copied(array) for array in contiguous))
    offsets: DeviceOffsets = places.prepared[key]
    return offsets


def _converted(device: Launches, kernel: Kernel, address: int, count: int) -> Memory:
    memory = device.empty(4 * count)
    device.launch(kernel, (address, memory.address, count), -(-count // THREADS), 1)
    return memory


def _run_chunks(device: Launches, kernels: _Kernels, lanes: _Side, others: _Side, out: int, places: Places) -> None:
    depth, groups = places.depth, places.groups
    group_bytes = 16 * kernels.quads * depth * groups  # of one lane group
    most = max(1, _PLANES_BYTES // (group_bytes * _TILE)) * _TILE * LANES
    planes = None
    for first in range(0, lanes.count, most):
        count = min(most, lanes.count - first)
        tile, tiles = tiling(count)
        if planes is None:  # the first chunk is the largest
            planes = device.empty(group_bytes * tile * tiles)
        at, lane_out = lanes.at.address + 8 * first, lanes.out.address + 8 * first
        device.launch(
            kernels.packing,
            (lanes.data, at, lanes.step.address, lanes.group, planes.address, count, tiles, tile, depth),
            -(-tiles * tile * depth // THREADS),
            groups,
        )
        device.launch(
            kernels.matmul,
            (
                planes.address,
                *(others.data, others.at.address, others.step.address, others.group),
                *(out, lane_out, others.out.address, places.out_group),
                *(count, tiles, tile, others.count, depth),
            ),
            -(-tiles * tile * others.count // THREADS),
            groups,
        )


def tiling(lanes: int) -> tuple[int, int]:
    """(lane groups of a tile, tiles) for so many lanes: at most a warp a tile, and as few empty groups as possible."""
    lane_groups = -(-lanes // LANES)
    tiles = -(-lane_groups // _TILE)
    return -(-lane_groups // tiles), tiles
