"""Matrix products whose lanes are elements of x: where they pay, by which gates, in which tasks, and out of range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.wide_kernels import estimated_nonzeros, known_weight_gates
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.lane_layout import lane_layout, layout_work
from circuits.engine.matrix_products.narrow_matmul import run_narrow
from circuits.engine.matrix_products.strips.strip_matmul import run_strips
from circuits.engine.matrix_products.wide_matmul import run_wide
from circuits.engine.matrix_products.windows.window_kernel import window_kernel
from circuits.engine.matrix_products.windows.window_plan import (
    Margins,
    WindowPlan,
    WindowSpans,
    window_plan,
    window_spans,
)
from circuits.engine.matrix_products.windows.window_records import LANES
from circuits.engine.padding import padded
from circuits.engine.task_threads import TASKS_A_THREAD, run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
Layout = Callable[[FloatCircuit, Array, Array, Array, Places, int | None], None]

ROW_LAYOUTS: Mapping[str, Layout] = MappingProxyType({"wide": run_wide, "strips": run_strips, "narrow": run_narrow})
"""Layout of `lane_layout` -> `gathering.gathered_matmul` by it, for float circuits."""

_MOST_COLUMNS = 3
"""Columns a group up to which packing x once is worth more than sums that stay in a block."""
_PREPARED = 100  # blocks of products that take as long as preparing a matrix product
_SUMS = 0.2
"""Lines and sums of a block of elements for one k, packing included, in blocks of products."""
_KNOWN_WEIGHT = 0.6
"""A block of products by gates for a known weight, which a single block hardly repays the wrong branches of."""
_PRODUCTS_A_TASK = 1 << 18
_MANY_FAILED = 1 / 4
"""Share of chunks out of range from which all rows are better computed together."""


def windows_pay(x: Array, places: Places, columns: int, margins: Margins | None = None) -> bool:
    """Whether lanes over elements of x take less work than the best layout of rows.

    With margins, which the processor must be able to add, x holds images without those that the places count.
    """
    if columns > _MOST_COLUMNS or (margins is not None and not Target.host().ternary):
        return False
    spans = _spans(places, margins)
    if spans is None:
        return False
    elements = spans.total * places.groups
    # Only AVX-512 leaves zeros out.
    operands = estimated_nonzeros(x) if Target.host().ternary else float(x.size)
    blocks = _strip_blocks(operands, places) + _SUMS * elements / BLOCK
    work = layout_work(places.rows, places.depth, columns, places.groups)
    return places.depth * columns * blocks + _PREPARED < min(work.values())


def run_windows(
    circuit: FloatCircuit,
    x: Array,
    w: Array,
    out: Array,
    places: Places,
    threads: int | None,
    *,
    margins: Margins | None = None,
    known_weights: bool | None = None,
) -> None:
    """`gathering.gathered_matmul` with lanes over elements of x, for a float circuit.

    Products that have no spans take a layout of rows. `margins`: see `windows_pay`. `known_weights`: whether gates for
    a known weight compute the products, if the circuit has any; by default where they are faster. The result does not
    depend on it.
    """
    columns, products = len(w) // places.groups, places.rows * w.size
    spans = _spans(places, margins)
    if spans is None:
        _run_by_rows(circuit, _with_margins(x, margins), w, out, places, threads)
        return
    if known_weights is None:
        nonzeros = estimated_nonzeros(x)
        of_groups = _group_blocks(nonzeros, places, columns, margins)
        repaying = _KNOWN_WEIGHT * of_groups < _strip_blocks(nonzeros, places)
        gates = known_weight_gates(circuit, products) if repaying else None
    else:
        gates = known_weight_gates(circuit, None) if known_weights else None
    plan = _plan(places, columns, margins, one_weight=gates is not None)
    settings, any_gates = float_gates(circuit)
    # The plan is for vectors of this width, and so must the kernel be.
    bits = Target.host().vector_bits
    kernel = window_kernel(settings, bits, weight_gates=gates is not None, margins=margins is not None)
    address = (gates or any_gates).gates_address
    # The kernel reads 16 weights of a row at a time.
    weights = np.zeros((len(w), -(-places.depth // LANES) * LANES), dtype=np.float32)
    weights[:, : places.depth] = w
    failed = np.zeros(len(plan.chunks), dtype=np.uint8)
    x_start, w_start, out_start, failed_start = (array.ctypes.data for array in (x, weights, out, failed))
    shape = plan.shape.ctypes.data

    def task(first: int, end: int) -> None:
        scratch = scratch_address(plan.scratch_bytes)
        kernel(address, shape, x_start, w_start, out_start, first, end, failed_start, scratch)

    threads = useful_threads(threads, products)
    count = max(1 if threads == 1 else TASKS_A_THREAD * threads, products // _PRODUCTS_A_TASK)
    count = min(count, len(failed))
    run_tasks(task, [(len(failed) * k // count, len(failed) * (k + 1) // count) for k in range(count)], threads)
    if not failed.any():
        return
    x = _with_margins(x, margins)
    if np.count_nonzero(failed) > _MANY_FAILED * len(failed):
        _run_by_rows(circuit, x, w, out, places, threads)
        return
    for chunk in np.flatnonzero(failed).tolist():
        part, group = plan.part(places, chunk)
        _run_by_rows(circuit, x, w[group * columns : (group + part.groups) * columns], out, part, threads)


def _with_margins(x: Array, margins: Margins | None) -> Array:
    if margins is None:
        return x
    with_margins: Array = padded(x.reshape(1, -1, *margins.image), margins.padding)
    return with_margins


def _run_by_rows(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    layout = lane_layout(places.rows, places.depth, len(w) // places.groups, places.groups)
    ROW_LAYOUTS[layout](circuit, x, w, out, places, threads)


def _strip_blocks(nonzeros: float, places: Places) -> float:
    """Blocks of elements that are not zero, in strips of 16 lanes."""
    return (nonzeros + places.groups * LANES / 2) / BLOCK


def _group_blocks(nonzeros: float, places: Places, columns: int, margins: Margins | None) -> int:
    """The same where all lanes of a block belong to one group."""
    plan = _plan(places, columns, margins, one_weight=True)
    share = nonzeros / (plan.spans.total * places.groups)
    # Chunks are of about the same size.
    blocks: int = math.ceil(int(plan.chunks[0, -1]) * share / BLOCK)
    return len(plan.chunks) * blocks


def _spans(places: Places, margins: Margins | None) -> WindowSpans | None:
    key = "window spans", margins, Target.host().vector_bits
    if key not in places.prepared:
        places.prepared[key] = window_spans(places, margins)
    spans: WindowSpans | None = places.prepared[key]
    return spans


def _plan(places: Places, columns: int, margins: Margins | None, *, one_weight: bool) -> WindowPlan:
    key = "windows", columns, margins, one_weight, Target.host().vector_bits
    if key not in places.prepared:
        spans = _spans(places, margins)
        assert spans is not None
        places.prepared[key] = window_plan(places, columns, spans, one_weight=one_weight)
    plan: WindowPlan = places.prepared[key]
    return plan
