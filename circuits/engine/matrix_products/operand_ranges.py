"""Whether products can leave the normal range: first for all operands at once, then for each task's own.

Kernels of mode "normal" need no decision in any lane, but all products must stay normal. A single infinity, NaN or
extreme operand then costs its task the slower mode "full", not the whole matrix product.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK, WORD_BYTES
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_gates import kernel_settings
from circuits.engine.llvm.float_parts import BIAS, FRACTION, emit_gather
from circuits.engine.llvm.float_results import emit_exponent_range
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors
from circuits.engine.task_threads import default_threads, run_tasks, scratch_address

Array = NDArray[np.float32]
_WORDS = 16  # of the widest vector
_WORDS_A_THREAD = 1 << 18  # 1 MB, which repays waking a thread
_NO_EXPONENT = 256  # the least exponent where all are zeros: more than any


class OperandRanges:
    """The ranges of the operands of one matrix product, x gathered as `element_places.Places` says, w [rows, K]."""

    def __init__(
        self, circuit: FloatCircuit, x: Array, w: Array, x_step: NDArray[np.int64], threads: int | None = 1
    ) -> None:
        self._normal_range = normal_range(circuit)
        self._subnormals = kernel_settings(circuit).subnormal_words
        self.all_normal = products_stay_normal(x, w, *self._normal_range, subnormals=self._subnormals, threads=threads)
        self.modes = ("normal",) if self.all_normal else ("normal", "full")
        self._x_step = x_step
        if not self.all_normal:
            exponents = (w.view(np.uint32) >> np.uint32(FRACTION)).astype(np.int32) & 255
            self._w_highest = exponents.max(axis=1, initial=0)
            # Zeros cannot leave the range, nor can subnormals that the kernels flush.
            left_out = w == 0 if self._subnormals else exponents == 0
            self._w_lowest = np.where(left_out, _NO_EXPONENT, exponents).min(axis=1, initial=_NO_EXPONENT)

    def mode(self, x: int, x_at: int, lanes: int, w_rows: Any) -> str:
        """The kernel's mode for some rows of x and of w.

        `x` and `x_at` (int64, readable up to the next multiple of 512 lanes) are addresses; `w_rows` is an index of
        rows of w.
        """
        if self.all_normal:
            return "normal"
        x_range = (ctypes.c_int32 * 2)()
        scratch = scratch_address(WORD_BYTES)
        range_kernel(self._subnormals)(
            x, x_at, self._x_step.ctypes.data, len(self._x_step), lanes, ctypes.addressof(x_range), scratch
        )
        w_range = int(self._w_lowest[w_rows].min()), int(self._w_highest[w_rows].max())
        return "normal" if _stay_normal((x_range[0], x_range[1]), w_range, *self._normal_range) else "full"


def normal_range(circuit: FloatCircuit) -> tuple[int, int]:
    """The least and the greatest biased exponent of float32 with which all of the format's numbers are normal."""
    settings = kernel_settings(circuit)
    return settings.least, settings.highest_finite


def products_stay_normal(
    x: Array, w: Array, least: int = 1, most: int = 254, *, subnormals: bool = False, threads: int | None = 1
) -> bool:
    """Whether no product of an x and a w can be NaN, infinite, subnormal or flushed; zeros aside.

    Both are C-contiguous. `least` and `most`: see `normal_range`. Subnormals of float32 are out of range where they are
    operands (`subnormals`), else the zeros that the kernels take them for.
    """
    return _stay_normal(_exponent_range(x, subnormals, threads), _exponent_range(w, subnormals, threads), least, most)


def _exponent_range(values: Array, subnormals: bool, threads: int | None) -> tuple[int, int]:
    """The least and the greatest biased exponent; zeros are left out, and subnormals, too, unless they are operands."""
    words = values.reshape(-1)
    whole = words.size // _WORDS * _WORDS
    tail = np.zeros(_WORDS, dtype=np.float32)
    tail[: words.size - whole] = words[whole:]
    kernel, start = scan_kernel(subnormals), words.ctypes.data
    parts = min(threads or default_threads(), max(1, words.size // _WORDS_A_THREAD))
    cuts = [whole // _WORDS * k // parts * _WORDS for k in range(parts + 1)]
    ends = (ctypes.c_int32 * (2 * parts + 2))()
    address = ctypes.addressof(ends)

    def scan(part: int) -> None:
        kernel(start + 4 * cuts[part], cuts[part + 1] - cuts[part], address + 8 * part)

    run_tasks(scan, [(part,) for part in range(parts)], parts)
    kernel(tail.ctypes.data, _WORDS, address + 8 * parts)
    return min(ends[::2]), max(ends[1::2])


def _stay_normal(x_range: tuple[int, int], w_range: tuple[int, int], least: int, most: int) -> bool:
    """The same for operands with these least and greatest biased exponents.

    With biased exponents E, a product's is E_x + E_w - 127, plus at most 2 from the normaliser and 1 from rounding. It
    must lie in `least`..`most`, in float32 1..254, for the least and the greatest exponents; 255 marks infinities
    and NaN.
    """
    # Only the extreme sums matter: every product's exponent lies between them. The 3 is 2 from the normaliser, 1 from
    # rounding.
    (x_low, x_high), (w_low, w_high) = x_range, w_range
    finite = max(x_high, w_high) <= 254
    normal = x_low + w_low - BIAS >= least and x_high + w_high - BIAS + 3 <= most
    return finite and min(x_low, w_low) >= 1 and normal


def _scan_ir(target: Target, subnormals: bool) -> str:
    """@kernel(words, count, range): the range of `count` contiguous float32 words, a multiple of 16; as below."""
    f = Function("kernel", "ptr %words, i64 %count, ptr %range")
    for i, value in enumerate(emit_exponent_range(Vectors(f, target), subnormals, [("%words", "%count")])):
        f.do(f"store i32 {value}, ptr {f.offset('%range', 4 * i)}")
    return f.text()


@lru_cache(maxsize=8)
def scan_kernel(subnormals: bool, vector_bits: int | None = None) -> Any:
    """The compiled kernel that finds the least and the greatest exponent of an array, a ctypes function."""
    target = Target.host(vector_bits)
    return load(_scan_ir(target, subnormals), target).function(
        "kernel", ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
    )


def _range_ir(target: Target, subnormals: bool) -> str:
    """@kernel(x, x_at, x_step, depth, lanes, range, scratch): range[0 .. 1], int32, the least and greatest exponents.

    Operands x[x_at[lane] + x_step[k]] for lanes up to the next multiple of 512; see `emit_exponent_range`.
    """
    f = Function("kernel", "ptr %x, ptr %x_at, ptr %x_step, i64 %depth, i64 %lanes, ptr %range, ptr %scratch")
    e = Vectors(f, target)
    with f.fold("%lanes", "i32", [str(2 * _NO_EXPONENT), "0"], step=BLOCK) as (lane, of_lanes):
        x_at = f.element("%x_at", "i64", lane)
        with f.fold("%depth", "i32", of_lanes) as (k, of_steps):
            step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', k)}")
            emit_gather(f, "%x", x_at, step, "%scratch")
            least, greatest = emit_exponent_range(e, subnormals, [("%scratch", str(BLOCK))])
            for i, (order, value) in enumerate((("slt", least), ("sgt", greatest))):
                better = f.op(f"icmp {order} i32 {value}, {of_steps[i]}")
                of_steps[i] = f.op(f"select i1 {better}, i32 {value}, i32 {of_steps[i]}")
        of_lanes[:] = of_steps
    for i, value in enumerate(of_lanes):
        f.do(f"store i32 {value}, ptr {f.offset('%range', 4 * i)}")
    return f.text()


@lru_cache(maxsize=8)
def range_kernel(subnormals: bool, vector_bits: int | None = None) -> Any:
    """The compiled kernel that finds the least and the greatest exponent, a ctypes function (see `_range_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(_range_ir(target, subnormals), target).function("kernel", p, p, p, n, n, p, p)
