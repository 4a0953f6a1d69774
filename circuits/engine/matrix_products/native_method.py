"""Matrix products of circuits that are exact by construction: the machine's own arithmetic, bit identical to the gates.

Served are float32 and integers of at most 16 bits; see `circuits.engine.llvm.native.native_products` for why the bits
are those of the gates.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.jit import Target
from circuits.engine.llvm.native.direct_kernel import native_direct_kernel
from circuits.engine.llvm.native.exponent_range_kernel import exponent_range, products_normal
from circuits.engine.llvm.native.native_matmul_kernel import native_matmul_kernel
from circuits.engine.llvm.native.native_products import NativeSettings
from circuits.engine.llvm.native.native_rows_kernel import native_rows_kernel
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.native_tasks import Split, pays_direct, split_direct, split_matmul
from circuits.engine.matrix_products.product_methods import ProductMethod
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.task_threads import run_tasks, scratch_address

Array = NDArray[Any]
_WIDEST_CODE = 16
_WIDTHS_IN_FLOAT32 = 16
"""Bits of both operands together whose products may be summed in float32, a chunk at a time: 160 2^16 < 2^24."""
_TINY_PRODUCT = 1 << 14  # products; fewer go through a kernel that looks for their range by itself


def _refusal(circuit: MultiplierCircuit) -> str:
    if circuit.format is None:
        if max(circuit.shape) > _WIDEST_CODE:
            return f"needs integers of at most {_WIDEST_CODE} bits"
    elif circuit.format != "float32":
        return f"needs the format float32 or integers, but got {circuit.format}"
    elif circuit.subnormals != "flush" and circuit.rounding != "nearest_even":
        return 'needs subnormals="flush" where products are truncated'
    return "" if circuit.exact_by_construction else "needs a circuit that is exact by construction"


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    columns = len(w) // places.groups
    # The split depends on the places alone, not on the circuit, of which a search may bring thousands.
    key = "native", columns
    if key not in places.prepared:
        places.prepared[key] = NativeMatmul(places, columns)
    product: NativeMatmul = places.prepared[key]
    if circuit.float_format is None:
        settings = _integer_settings(circuit, out.dtype)
        w = w.astype(np.float32 if settings.computed == "float" else np.float64)
    else:
        ranges = [exponent_range(array.ctypes.data, array.size) for array in (x, w)]
        settings = _float_settings(circuit, not products_normal(*ranges))
    product.run(settings, x.ctypes.data, w.ctypes.data, None, out.ctypes.data, threads)


class NativeMatmul:
    """`gathering.gathered_matmul` at given places, prepared; several threads may run it at the same time."""

    def __init__(self, places: Places, columns: int, *, biased: bool = False) -> None:
        """`biased`: whether calls may give a bias."""
        self._places = places
        self._columns = columns
        self._biased = biased
        self._splits: dict[Any, tuple[Any, Split]] = {}

    def run(self, settings: NativeSettings, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the arrays at these addresses, plus bias[n] if given; w in the settings' computed type."""
        kernel, split = self.split(settings, threads)
        run_split(kernel, split, x, w, bias, out)

    def split(self, settings: NativeSettings, threads: int | None) -> tuple[Any, Split]:
        """The kernel and the tasks of a call."""
        bits = Target.host().vector_bits
        key = settings, threads, bits
        if key not in self._splits:
            lanes = bits // (64 if settings.computed == "double" else 32)
            if not self._biased and pays_direct(self._places, self._columns, lanes):
                kernel, cut = native_direct_kernel(settings, bits), split_direct
            else:
                kernel, cut = native_matmul_kernel(settings, bits), split_matmul
            self._splits[key] = kernel, cut(self._places, self._columns, lanes, threads)
        return self._splits[key]


def run_split(kernel: Any, split: Split, x: int, w: int, bias: int | None, out: int) -> None:
    """Runs the tasks of a split on the arrays at these addresses."""
    # One small product is the common case of a single image; it should not pay for a thread pool.
    if len(split.tasks) == 1:
        kernel(split.tasks[0][0], x, w, bias, out, scratch_address(split.scratch_bytes))
        return

    def run_task(task: int) -> None:
        kernel(task, x, w, bias, out, scratch_address(split.scratch_bytes))

    run_tasks(run_task, split.tasks, split.threads)


class NativeRows:
    """`product_methods.PreparedRows`: x [M, K] times w [N, K], contiguous float32."""

    def __init__(self, circuit: FloatCircuit, rows: int, depth: int, columns: int) -> None:
        self._product = NativeMatmul(places_of_rows(rows, depth, columns), columns, biased=True)
        self._modes = [_float_settings(circuit, full) for full in (False, True)]
        self._sizes = rows * depth, columns * depth
        self._tiny = rows * columns * depth < _TINY_PRODUCT
        # By mode and threads; looking up the settings themselves would take as long as a tiny product.
        self._ready: dict[tuple[bool, int | None], tuple[Any, Split]] = {}

    def run(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the float32 arrays at these addresses, plus bias[n] if given."""
        x_size, w_size = self._sizes
        full = not self._tiny and not products_normal(exponent_range(x, x_size), exponent_range(w, w_size))
        key = full, threads
        if key not in self._ready:
            kernel, split = self._product.split(self._modes[full], threads)
            self._ready[key] = native_rows_kernel(self._modes[full]) if self._tiny else kernel, split
        run_split(*self._ready[key], x, w, bias, out)


@lru_cache(maxsize=256)
def _prepared_rows(circuit: FloatCircuit, rows: int, depth: int, columns: int) -> NativeRows | None:
    return NativeRows(circuit, rows, depth, columns) if rows and depth and columns else None


METHOD = ProductMethod(_refusal, _run, _prepared_rows)


def _integer_settings(circuit: MultiplierCircuit, dtype: Any) -> NativeSettings:
    """The settings for an integer circuit with sums of `dtype`."""
    wide = sum(circuit.shape) > _WIDTHS_IN_FLOAT32
    return NativeSettings(
        operand="i8" if circuit.shape[0] <= 8 else "i16",
        signed=circuit.signed,
        computed="double" if wide else "float",
        total=f"i{8 * np.dtype(dtype).itemsize}",
    )


@lru_cache(maxsize=64)
def _float_settings(circuit: FloatCircuit, full: bool) -> NativeSettings:
    return NativeSettings(rounding=circuit.rounding, full=full, flush=circuit.subnormals == "flush")
