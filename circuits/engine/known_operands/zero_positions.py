"""Moves together what stands at the positions k where a row of activations is not zero (AVX-512)."""

from __future__ import annotations

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.vectors import Vectors

DECLARATIONS = (
    "declare <16 x i32> @llvm.x86.avx512.mask.compress.v16i32(<16 x i32>, <16 x i32>, <16 x i1>)\n"
    "declare i16 @llvm.ctpop.i16(i16)\n"
)
"""The intrinsics that the functions of this file call."""

_RUN = 16


def emit_count_nonzero(e: Vectors, nonzero_bits: int, row: str, depth: str) -> str:
    """The number (i64) of the `depth` float32 words at `row` that have one of `nonzero_bits` set."""
    f = e.f
    with f.fold(depth, "i64", ["0"]) as (k, count):
        word = f.op(f"load i32, ptr {f.element(row, 'i32', k)}")
        count[0] = f.op(f"add i64 {count[0]}, {f.op(f'zext i1 {_emit_is_nonzero(f, nonzero_bits, word)} to i64')}")
    return count[0]


def _emit_is_nonzero(f: Function, nonzero_bits: int, word: str) -> str:
    return f.op(f"icmp ne i32 {f.op(f'and i32 {word}, {nonzero_bits}')}, 0")


def emit_compress_row(e: Vectors, nonzero_bits: int, row: str, masks: str, depth: str) -> None:
    """Moves the words at `row` that have one of `nonzero_bits` set to its start, and writes their masks to `masks`.

    A mask (i16) is for 16 words. `row` must be readable up to the next multiple of 16 words; the mask of the last ones
    covers `depth` words only.
    """
    f = e.f
    numbers = "<" + ", ".join(f"i32 {lane}" for lane in range(_RUN)) + ">"
    limit = e.broadcast(f.op(f"trunc i64 {depth} to i32"))
    with f.fold(depth, "i64", ["0"], step=_RUN) as (k, count):
        words = f.op(f"load {e.v}, ptr {f.element(row, 'i32', k)}, align 4")
        present = e.compare("ne", e.integer("and", words, nonzero_bits), "zeroinitializer")
        position = e.integer("add", e.broadcast(f.op(f"trunc i64 {k} to i32")), numbers)
        mask = f.op(f"and {e.mask} {present}, {e.compare('slt', position, limit)}")
        bits = f.op(f"bitcast {e.mask} {mask} to i16")
        f.do(f"store i16 {bits}, ptr {f.element(masks, 'i16', f.op(f'lshr i64 {k}, 4'))}")
        # What was moved never reaches beyond the words that were read, so that nothing is overwritten too early.
        count[0] = _emit_append(e, words, mask, bits, row, count[0])


def emit_compress_weights(e: Vectors, weights: str, masks: str, depth: str, columns: str, moved: str) -> None:
    """Writes the words of `weights` [columns, depth] at the positions of `masks` to `moved`, one after the other.

    `moved` must have room for one vector more.
    """
    f = e.f
    whole = f.op(f"and i64 {depth}, -16")
    with f.fold(columns, "i64", ["0"]) as (n, count):
        column = f.element(weights, "i32", f.op(f"mul i64 {n}, {depth}"))
        carried = [count[0]]
        with f.fold(whole, "i64", carried, step=_RUN) as (k, total):
            words = f.op(f"load {e.v}, ptr {f.element(column, 'i32', k)}, align 4")
            bits = f.op(f"load i16, ptr {f.element(masks, 'i16', f.op(f'lshr i64 {k}, 4'))}")
            mask = f.op(f"bitcast i16 {bits} to {e.mask}")
            total[0] = _emit_append(e, words, mask, bits, moved, total[0])
        last = f.op(f"load i16, ptr {f.element(masks, 'i16', f.op(f'lshr i64 {whole}, 4'))}")
        # A vector would reach behind the last weight.
        with f.fold(depth, "i64", total, whole) as (k, rest):
            word = f.op(f"load i32, ptr {f.element(column, 'i32', k)}")
            f.do(f"store i32 {word}, ptr {f.element(moved, 'i32', rest[0])}")
            shift = f.op(f"trunc i64 {f.op(f'sub i64 {k}, {whole}')} to i16")
            bit = f.op(f"and i16 {f.op(f'lshr i16 {last}, {shift}')}, 1")
            rest[0] = f.op(f"add i64 {rest[0]}, {f.op(f'zext i16 {bit} to i64')}")
        count[0] = rest[0]


def _emit_append(e: Vectors, words: str, mask: str, bits: str, target: str, count: str) -> str:
    """Stores the words in the mask at target[count ...]; returns the new count."""
    f = e.f
    moved = f.op(
        f"call {e.v} @llvm.x86.avx512.mask.compress.v16i32({e.v} {words}, {e.v} zeroinitializer, {e.mask} {mask})"
    )
    f.do(f"store {e.v} {moved}, ptr {f.element(target, 'i32', count)}, align 4")
    size = f.op(f"zext i16 {f.op(f'call i16 @llvm.ctpop.i16(i16 {bits})')} to i64")
    return f.op(f"add i64 {count}, {size}")
