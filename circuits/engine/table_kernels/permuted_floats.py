"""Terms of the permutation kernel for floats of at most 8 bits: products are looked up as the upper half of a float32.

A product is a value of the same small format, so that 16 bits of its float32 pattern hold it. Its two bytes come from
two planes; interleaved they are words, and a pair of words becomes two float32 by a shift and a mask. Sums are float32
and begin at +0, one addition a term in ascending k.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.kernel_task import LANES
from circuits.engine.table_kernels.permuted_integers import (
    PERMUTATIONS,
    gather_bytes,
    load_code_bytes,
    load_planes,
    lookup,
)

_BYTES = "<64 x i8>"
_WORDS = "<16 x i32>"
_FLOATS = "<16 x float>"


def unpacked(f: Function, low: str, high: str) -> list[str]:
    """Two vectors of 32 words low + 256 high, as <16 x i32>: rows 16 L + i and 16 L + 8 + i of quarter L, i < 8."""
    # vpunpcklbw and vpunpckhbw interleave within each quarter of a register.
    vectors = []
    for first in (0, 8):
        lanes = ", ".join(
            f"i32 {16 * quarter + first + i + side * LANES}"
            for quarter in range(4)
            for i in range(8)
            for side in (0, 1)
        )
        words = f.op(f"shufflevector {_BYTES} {low}, {_BYTES} {high}, <64 x i32> <{lanes}>")
        vectors.append(f.op(f"bitcast {_BYTES} {words} to {_WORDS}"))
    return vectors


def add_words(f: Function, words: list[str], sums: list[str]) -> list[str]:
    """Adds the upper halves of float32 that `unpacked` orders: of each vector the even words, then the odd ones."""
    updated = []
    for pairs, (even_sum, odd_sum) in zip(words, (sums[:2], sums[2:]), strict=True):
        even = f.op(f"shl {_WORDS} {pairs}, splat (i32 16)")
        odd = f.op(f"and {_WORDS} {pairs}, splat (i32 -65536)")
        for pattern, total in ((even, even_sum), (odd, odd_sum)):
            updated.append(f.op(f"fadd {_FLOATS} {total}, {f.op(f'bitcast {_WORDS} {pattern} to {_FLOATS}')}"))
    return updated


class FloatSums:
    """Float32 totals in the order of `unpacked`: the part of `Terms` that all float terms share."""

    kind = _FLOATS
    accumulators = 4
    result = "float"

    def begin(self, f: Function, totals: str) -> list[str]:
        return [f.op(f"load {_FLOATS}, ptr {f.offset(totals, LANES * k)}, align 64") for k in range(4)]

    def end(self, f: Function, totals: str, sums: list[str]) -> None:
        for k, value in enumerate(sums):
            f.do(f"store {_FLOATS} {value}, ptr {f.offset(totals, LANES * k)}, align 64")

    def results(self, f: Function, totals: str) -> list[str]:
        """Quarter L of `halves[0]` and of `halves[1]` are rows 16 L .. 16 L + 7 and 16 L + 8 .. 16 L + 15."""
        low_even, low_odd, high_even, high_odd = self.begin(f, totals)
        ordered = []
        for pair in range(2):
            # Rows of quarters 2 pair and 2 pair + 1: each quarter has four elements in the even and the odd vector.
            lanes = ", ".join(f"i32 {8 * pair + i // 2 + 16 * (i % 2)}" for i in range(16))
            low, high = (
                f.op(f"shufflevector {_FLOATS} {even}, {_FLOATS} {odd}, <16 x i32> <{lanes}>")
                for even, odd in ((low_even, low_odd), (high_even, high_odd))
            )
            for first in (0, 8):
                lanes_of_both = ", ".join(f"i32 {first + i % 8 + 16 * (i // 8)}" for i in range(16))
                ordered.append(f.op(f"shufflevector {_FLOATS} {low}, {_FLOATS} {high}, <16 x i32> <{lanes_of_both}>"))
        return ordered


@dataclass(frozen=True)
class SmallFloatTerms(FloatSums):
    """`Terms` of float codes of at most 8 bits, in 1, 2 or 4 `segments` of 64 codes.

    `signs_apart`: the codes have 8 bits, and the segments hold products with the 128 codes of positive x only; those of
    negative x differ by their sign, which is the exclusive OR with x's.
    """

    segments: int
    signs_apart: bool = False

    tile_bytes = LANES
    most_blocks = 1

    def declarations(self) -> str:
        return PERMUTATIONS

    def gather(self, f: Function, places: list[str], runs: str, tiles: list[str]) -> None:
        gather_bytes(f, places, runs, tiles)

    def load_row(self, f: Function, table: str, weight: str) -> list[str]:
        return load_planes(f, table, weight, 2, self.segments)

    def load_codes(self, f: Function, tile: str) -> list[str]:
        return load_code_bytes(f, tile, self.segments)

    def add(self, f: Function, row: list[str], codes: list[str], sums: list[str]) -> list[str]:
        low, high = (lookup(f, row[k : k + self.segments], codes) for k in (0, self.segments))
        if self.signs_apart:
            sign = f.op(f"and {_BYTES} {codes[0]}, splat (i8 -128)")
            high = f.op(f"xor {_BYTES} {high}, {sign}")
        return add_words(f, unpacked(f, low, high), sums)
