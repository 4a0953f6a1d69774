"""The native matmul kernel for tiny contiguous float32 matrices: it looks for their range of exponents by itself.

A call from Python takes longer than such a product, and one for each range would double the time.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import lru_cache
from typing import Any

from circuits.engine.llvm.float_parts import BIAS, FRACTION, SIGN
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.native.native_matmul_kernel import MATMUL_TASK, native_matmul_ir
from circuits.engine.llvm.native.native_products import NativeProducts, NativeSettings


def native_rows_ir(settings: NativeSettings, target: Target) -> str:
    """@kernel(task, x, w, bias, out, scratch), as `native_matmul_ir`, in the mode that the operands allow.

    x and w are contiguous, [rows, depth] and [all_columns, depth] in the task's terms.
    """
    parameters = "ptr %task, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch"
    f = Function("kernel", parameters)
    p = NativeProducts(f, replace(settings, full=False), target)
    rows, depth, columns = (
        f.op(f"load i64, ptr {f.offset('%task', 8 * MATMUL_TASK.index(name))}")
        for name in ("rows", "depth", "all_columns")
    )
    sums = []
    ranges = [
        _emit_range(p, array, f.op(f"mul i64 {depth}, {count}")) for array, count in (("%x", rows), ("%w", columns))
    ]
    for x, w in zip(*ranges, strict=True):
        sums.append(f.op(f"add i32 {x}, {w}"))
    # As `exponent_range_kernel.products_normal`: 1 <= E_x + E_w - 127 and E_x + E_w - 127 + 2 <= 254, no subnormals,
    # no infinities and NaN. An array of zeros alone has the range (512, 0) and fails no test.
    conditions = [f.op(f"icmp sge i32 {sums[0]}, {BIAS + 1}"), f.op(f"icmp sle i32 {sums[1]}, {254 - 2 + BIAS}")]
    for least, greatest in ranges:
        conditions += [f.op(f"icmp sge i32 {least}, 1"), f.op(f"icmp sle i32 {greatest}, 254")]
    normal = conditions[0]
    for condition in conditions[1:]:
        normal = f.op(f"and i1 {normal}, {condition}")
    text, declared = "", {_declared_reduction(p, name) for name in ("umin", "umax")}
    for full, condition in ((False, normal), (True, f.op(f"xor i1 {normal}, true"))):
        name = "full" if full else "normal"
        with f.when(condition):
            f.do(f"call void @{name}({parameters})")
        module = native_matmul_ir(replace(settings, full=full), target, name)
        declared |= {line for line in module.splitlines() if line.startswith("declare")}
        text += "\n".join(line for line in module.splitlines() if not line.startswith("declare")) + "\n"
    return "\n".join(sorted(declared)) + "\n" + text + f.text()


def _declared_reduction(p: NativeProducts, name: str) -> str:
    return f"declare i32 @llvm.vector.reduce.{name}.v{p.lanes}i32(<{p.lanes} x i32>)"


def _emit_range(p: NativeProducts, array: str, length: str) -> tuple[str, str]:
    """Least and greatest biased exponent (i32) of the array's numbers, zeros apart; subnormals have exponent 0."""
    f, v = p.f, f"<{p.lanes} x i32>"
    # Magnitudes less one: zeros wrap around to the largest.
    with f.fold(length, v, ["splat (i32 -1)", "zeroinitializer"], step=p.lanes) as (index, present):
        mask = p.first_lanes(f.op(f"sub i64 {length}, {index}"))
        value = f.op(f"bitcast {p.vector} {p.load_operands(f.element(array, 'float', index), mask)} to {v}")
        word = f.op(f"and {v} {value}, splat (i32 {SIGN - 1})")
        less = f.op(f"sub {v} {word}, splat (i32 1)")
        for k, (order, number) in enumerate((("ult", less), ("ugt", word))):
            better = f.op(f"icmp {order} {v} {number}, {present[k]}")
            present[k] = f.op(f"select <{p.lanes} x i1> {better}, {v} {number}, {v} {present[k]}")
    least, greatest = (
        f.op(f"call i32 @llvm.vector.reduce.{name}.v{p.lanes}i32({v} {extreme})")
        for name, extreme in zip(("umin", "umax"), present, strict=True)
    )
    # Of zeros alone, `least` is 2^32 - 1; plus one and shifted as 33 bits that is 512.
    wide = f.op(f"add i64 {f.op(f'zext i32 {least} to i64')}, 1")
    return f.op(f"trunc i64 {f.op(f'lshr i64 {wide}, {FRACTION}')} to i32"), f.op(f"lshr i32 {greatest}, {FRACTION}")


@lru_cache(maxsize=16)
def native_rows_kernel(settings: NativeSettings, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `native_rows_ir`); the mode in `settings` does not matter."""
    target, p = Target.host(vector_bits), ctypes.c_void_p
    return load(native_rows_ir(settings, target), target).function("kernel", p, p, p, p, p, p)
