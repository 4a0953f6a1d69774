"""The table kernel for any processor, one look-up after the other: for few rows or few columns.

A few rows are summed side by side, so that the address of the weight's row of the table serves several look-ups and
chains of additions overlap: four rows of integers, which share the general registers with addresses, eight of floats.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.table_kernels.kernel_task import PARAMETERS, field, kernel_function
from circuits.engine.table_kernels.word_entries import WordEntries


def scalar_ir(entries: WordEntries) -> str:
    """The module of `scalar_kernel`."""
    f = Function("kernel", PARAMETERS)
    rows, columns, depth, table = (field(f, name) for name in ("rows", "columns", "depth", "table"))
    x_at, out_at, x_step, out_step = (field(f, name) for name in ("x_at", "out_at", "x_step", "out_step"))
    x_first, w_first, out_first = field(f, "x_first"), field(f, "w_first"), field(f, "out_first")
    x_group, w_group, out_group = field(f, "x_group"), field(f, "w_group"), field(f, "out_group")
    start = "0.0" if entries.result == "float" else field(f, "constant")
    if entries.result == "i32":
        start = f.op(f"trunc i64 {start} to i32")
    together = 8 if entries.result == "float" else 4
    whole = f.op(f"and i64 {rows}, {-together}")
    with f.loop(field(f, "groups")) as group:
        x_begin = f.offset("%x", f.op(f"add i64 {x_first}, {f.op(f'mul i64 {group}, {x_group}')}"))
        w_begin = f.op(f"add i64 {w_first}, {f.op(f'mul i64 {group}, {w_group}')}")
        out_begin = f.op(f"add i64 {out_first}, {f.op(f'mul i64 {group}, {out_group}')}")
        with f.loop(columns) as column:
            weights = f.op(f"add i64 {w_begin}, {f.op(f'mul i64 {column}, {depth}')}")
            place = f.op(f"add i64 {out_begin}, {f.op(f'mul i64 {column}, {out_step}')}")
            results = f.element("%out", entries.result, place)
            for begin, end, count in (("0", whole, together), (whole, rows, 1)):
                with f.loop(end, begin, count) as first:
                    places = f.element(x_at, "i64", first)
                    codes = [
                        f.offset(x_begin, f.op(f"load i64, ptr {f.offset(places, 8 * row)}")) for row in range(count)
                    ]
                    with f.fold(depth, entries.result, [start] * count) as (k, sums):
                        table_row = entries.table_row(f, table, f.op(f"add i64 {weights}, {k}"))
                        step = f.op(f"load i64, ptr {f.element(x_step, 'i64', k)}")
                        for row, own_codes in enumerate(codes):
                            code = f.op(f"load i8, ptr {f.offset(own_codes, step)}")
                            address = f.element(table_row, "i32", f.op(f"zext i8 {code} to i64"))
                            entry = f.op(f"load {entries.entry}, ptr {address}")
                            sums[row] = entries.add(f, sums[row], entry)
                    out_places = f.element(out_at, "i64", first)
                    for row, total in enumerate(sums):
                        at = f.op(f"load i64, ptr {f.offset(out_places, 8 * row)}")
                        f.do(f"store {entries.result} {total}, ptr {f.element(results, entries.result, at)}")
    return f.text()


@lru_cache(maxsize=8)
def scalar_kernel(entries: WordEntries, target: Target) -> Any:
    """The compiled kernel; `kernel_task` says how it is called. It needs no scratch."""
    return kernel_function(load(scalar_ir(entries), target))
