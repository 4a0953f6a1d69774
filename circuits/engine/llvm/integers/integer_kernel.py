"""The integer kernel around a program's compiled gates: unsigned words in, product words out, 512 a block.

Each limb of an operand (see `circuits.engine.blocks`) is transposed into 32 bit-planes; the gates see those of the
operand's width. The product's planes are transposed back, missing ones taken as zeros.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import LIMB, PLANE_BYTES, WORD_BYTES, limbs
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Plane, Vectors


def integer_scratch_bytes(widths: tuple[int, int], product_bits: int) -> int:
    """Bytes of scratch that the kernel needs: the planes of both operands and of the product."""
    return (sum(widths) + product_bits) * PLANE_BYTES


def integer_ir(widths: tuple[int, int], product_bits: int, target: Target) -> str:
    """@kernel(gates, x, y, out, blocks, stride, scratch): limb l of x is x[l stride ...], uint32; so for y and out.

    Operand bits from the width up are ignored. `stride` counts elements and is at least 512 blocks.
    """
    f = Function("kernel", "ptr %gates, ptr %x, ptr %y, ptr %out, i64 %blocks, i64 %stride, ptr %scratch")
    e = Vectors(f, target)
    y_planes = f.offset("%scratch", widths[0] * PLANE_BYTES)
    product = f.offset("%scratch", sum(widths) * PLANE_BYTES)

    def limb(pointer: str, number: int, start: str) -> str:
        return f.offset(f.element(pointer, "i32", f.op(f"mul i64 %stride, {number}")), start)

    with f.loop("%blocks") as block:
        start = f.op(f"mul i64 {block}, {WORD_BYTES}")
        # Words to planes, limb by limb; of the highest limb only the planes below the width are stored.
        for pointer, planes, width in (("%x", "%scratch", widths[0]), ("%y", y_planes, widths[1])):
            for number in range(limbs(width)):
                words = limb(pointer, number, start)
                # The gates' next bus begins right behind this one: planes from the width on would overwrite it.
                count = min(width - number * LIMB, LIMB)
                with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                    rows: list[Plane] = list(e.transpose([e.load(words, b, byte) for b in range(LIMB)]))
                    for bit, row in enumerate(rows[:count]):
                        e.store(str(row), planes, number * LIMB + bit, byte)
        f.do(f"call void %gates(ptr %scratch, ptr {y_planes}, ptr {product})")
        # Planes to words; planes above the product's bits are the constant 0.
        for number in range(limbs(product_bits)):
            words = limb("%out", number, start)
            count = min(product_bits - number * LIMB, LIMB)
            with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                rows = [e.load(product, number * LIMB + bit, byte) for bit in range(count)]
                for b, word in enumerate(e.transpose(rows + [None] * (LIMB - count))):
                    e.store(word or "zeroinitializer", words, b, byte)
    return f.text()


@lru_cache(maxsize=64)
def integer_kernel(widths: tuple[int, int], product_bits: int, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `integer_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(integer_ir(widths, product_bits, target), target).function("kernel", p, p, p, p, n, n, p)
