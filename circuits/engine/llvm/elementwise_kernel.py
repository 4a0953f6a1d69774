"""The elementwise float kernel: products of two arrays, 512 a block, over the full range of the format."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.float_parts import (
    PRODUCT_AT,
    W_PLANES_AT,
    W_WORDS_AT,
    X_WORDS_AT,
    KernelSettings,
    emit_pack,
)
from circuits.engine.llvm.float_results import emit_products
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors


def multiply_ir(settings: KernelSettings, target: Target) -> str:
    """@kernel(gates, x, w, out, blocks, scratch): out[i] = x[i] * w[i] for 512 `blocks` float32 products."""
    f = Function("kernel", "ptr %gates, ptr %x, ptr %w, ptr %out, i64 %blocks, ptr %scratch")
    e = Vectors(f, target)
    w_planes, product = f.offset("%scratch", W_PLANES_AT), f.offset("%scratch", PRODUCT_AT)
    x_words, w_words = f.offset("%scratch", X_WORDS_AT), f.offset("%scratch", W_WORDS_AT)
    with f.loop("%blocks") as block:
        start = f.op(f"mul i64 {block}, {WORD_BYTES}")
        # Each operand takes part in one product only, so that a scan for the exponents' range could not be shared by
        # many products as in the matmul kernels. Hence always mode "full", where each lane decides for itself.
        emit_pack(e, settings, f.offset("%x", start), "%scratch", x_words, less=None)
        emit_pack(e, settings, f.offset("%w", start), w_planes, w_words, less=None)
        f.do(f"call void %gates(ptr %scratch, ptr {w_planes}, ptr {product})")
        out = f.offset("%out", start)
        with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
            for b, value in enumerate(emit_products(e, settings, "full", product, x_words, None, w_words, byte)):
                e.store(value, out, b, byte, e.vf)
    return f.text()


@lru_cache(maxsize=64)
def multiply_kernel(settings: KernelSettings, vector_bits: int | None = None) -> Any:
    """The compiled elementwise kernel, a ctypes function (see `multiply_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(multiply_ir(settings, target), target).function("kernel", p, p, p, p, n, p)
