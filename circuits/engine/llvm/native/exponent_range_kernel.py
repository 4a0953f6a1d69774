"""The least and the greatest exponent of an array, in one pass: whether products can leave the normal range."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np

from circuits.engine.llvm.float_parts import BIAS, FRACTION, SIGN
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors

_LANES = 16  # a multiple of every target's lanes


def exponent_range_ir(target: Target) -> str:
    """@kernel(x, length, out): writes the extremes of x[0 .. length), float32 without signs, lane by lane to `out`.

    length >= 16. out: uint32 [2, 16], first the least word of each lane less one, then the greatest. Less one, because
    zeros then wrap around to the largest and are left out.
    """
    f = Function("kernel", "ptr %x, i64 %length, ptr %out")
    e = Vectors(f, target)
    registers = _LANES // e.lanes
    # The last words are read once more in a vector of their own, which changes no extreme.
    whole = f.op(f"and i64 %length, {-_LANES}")
    last = f.element("%x", "i32", f.op(f"sub i64 %length, {_LANES}"))
    extremes = [e.splat(0xFFFFFFFF)] * registers + [e.splat(0)] * registers
    for address, length in (("%x", whole), (last, str(_LANES))):
        with f.fold(length, e.v, extremes, step=_LANES) as (index, present):
            for r in range(registers):
                place = f.offset(f.element(address, "i32", index), r * e.vector_bytes)
                word = e.integer("and", f.op(f"load {e.v}, ptr {place}, align 4"), SIGN - 1)
                less = e.integer("sub", word, 1)
                present[r] = e.where(e.compare("ult", less, present[r]), less, present[r])
                greatest = present[registers + r]
                present[registers + r] = e.where(e.compare("ugt", word, greatest), word, greatest)
        extremes = present
    for r, extreme in enumerate(extremes):
        f.do(f"store {e.v} {extreme}, ptr {f.offset('%out', r * e.vector_bytes)}, align 4")
    return f.text()


@lru_cache(maxsize=8)
def _kernel(vector_bits: int) -> Any:
    target = Target.host(vector_bits)
    return load(exponent_range_ir(target), target).function("kernel", ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


def exponent_range(address: int, length: int) -> tuple[int, int]:
    """Least and greatest biased exponent of the float32 array at this address; subnormals have exponent 0.

    Zeros are left out; of zeros alone the range is (512, 0).
    """
    if length < _LANES:
        words = np.zeros(_LANES, dtype=np.float32)
        ctypes.memmove(words.ctypes.data, address, 4 * length)
        return exponent_range(words.ctypes.data, _LANES)
    extremes = np.empty((2, _LANES), dtype=np.uint32)
    _kernel(Target.host().vector_bits)(address, length, extremes.ctypes.data)
    return int(extremes[0].min()) + 1 >> FRACTION, int(extremes[1].max()) >> FRACTION


def products_normal(x: tuple[int, int], w: tuple[int, int]) -> bool:
    """Whether no product of operands in these ranges can be subnormal, flushed, infinite or NaN (zeros aside).

    Exact products shift by at most 1 and round up by at most 1: 1 <= E_x + E_w - 127 and E_x + E_w - 127 + 2 <= 254.
    """
    finite = max(x[1], w[1]) <= 254
    return finite and min(x[0], w[0]) >= 1 and x[0] + w[0] - BIAS >= 1 and x[1] + w[1] - BIAS + 2 <= 254
