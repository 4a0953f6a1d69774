"""Terms of the permutation kernel for formats with at most 7 fraction bits and any exponent, such as bfloat16.

Operands and products are known by the upper halves h of their float32 patterns: sign, 8 exponent bits, 7 fraction bits.
Where no product leaves the format's normal range, with the table's entry for both fractions (`FractionImage`),

    h(x w)  =  (h(x) without fraction) + entry + (h(w) without fraction) - h(1.0)        modulo 2^16,

because a product's exponent is the sum of both, and one bit's sum without carry is the XOR of the signs. The first two
terms are the upper half of a number whose product with the power of two h(w) without fraction is x w. One fused
multiplication and addition therefore adds x w to a sum: the product is exact, so that there is one rounding, that of
the addition. It takes half the operations of two additions to h.

    sum + x w  =  fma((h(x) without fraction) + entry, h(w) without fraction, sum)

The number must be finite, so that the exponent of x must leave room for that of an entry. Zeros have no such form:
lanes where x is zero are cleared, and a weight that is zero multiplies by zero. Both add a zero, which changes no sum
that begins at +0.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.kernel_task import LANES
from circuits.engine.table_kernels.permuted_floats import FloatSums
from circuits.engine.table_kernels.permuted_integers import lookup
from circuits.engine.table_kernels.row_runs import run_count, run_of

_BYTES = "<64 x i8>"
_HALVES = "<32 x i16>"
_PAIRS = "<16 x i32>"
_FLOATS = "<16 x float>"
_DECLARATIONS = """
declare <64 x i8> @llvm.x86.avx512.permvar.qi.512(<64 x i8>, <64 x i8>)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare <32 x i16> @llvm.masked.load.v32i16.p0(ptr, i32, <32 x i1>, <32 x i16>)
"""


@dataclass(frozen=True)
class FractionTerms(FloatSums):
    """`Terms` of upper halves, uint16, with 1 or 2 byte planes of entries.

    The tile holds, of each k and block, 64 bytes that index the fractions and 64 words of signs and exponents in the
    order of `words_of`, 0 for zeros. `x_zeros`: whether zeros may be among the codes of x.
    """

    planes: int
    x_zeros: bool = True

    tile_bytes = 3 * LANES
    # Masks made from the codes of a block serve four columns.
    most_blocks = 1

    def declarations(self) -> str:
        return _DECLARATIONS

    def gather(self, f: Function, places: list[str], runs: str, tiles: list[str]) -> None:
        addresses = [f.element("%x", "i16", place) for place in places]
        with f.fold(run_count(f, runs), _HALVES, ["zeroinitializer"] * (2 * len(places))) as (number, halves):
            start, mask = run_of(f, runs, number)
            lanes = f.op(f"bitcast i64 {mask} to <64 x i1>")
            for part in range(2):
                own = ", ".join(f"i32 {32 * part + lane}" for lane in range(32))
                own_lanes = f.op(f"shufflevector <64 x i1> {lanes}, <64 x i1> poison, <32 x i32> <{own}>")
                for i, address in enumerate(addresses):
                    source = f.offset(f.element(address, "i16", start), 64 * part)
                    halves[2 * i + part] = f.op(
                        f"call {_HALVES} @llvm.masked.load.v32i16.p0(ptr {source}, i32 2, <32 x i1> {own_lanes}, "
                        f"{_HALVES} {halves[2 * i + part]})"
                    )
        for i, tile in enumerate(tiles):
            _store_tile(f, halves[2 * i : 2 * i + 2], tile)

    def load_row(self, f: Function, table: str, weight: str) -> list[str]:
        """The planes' registers, and the weight without its fraction in every lane."""
        half = f.op(f"load i16, ptr {f.element('%w', 'i16', weight)}")
        word = f.op(f"zext i16 {half} to i32")
        fraction = f.op(f"zext i32 {f.op(f'and i32 {word}, 127')} to i64")
        row = f.offset(table, f.op(f"mul i64 {fraction}, {2 * LANES * self.planes}"))
        registers = [f.op(f"load {_BYTES}, ptr {f.offset(row, LANES * k)}, align 64") for k in range(2 * self.planes)]
        power = f.op(f"shl i32 {f.op(f'and i32 {word}, {0xFF80}')}, 16")
        first = f.op(f"insertelement {_PAIRS} poison, i32 {power}, i32 0")
        spread = f.op(f"shufflevector {_PAIRS} {first}, {_PAIRS} poison, {_PAIRS} zeroinitializer")
        return [*registers, f.op(f"bitcast {_PAIRS} {spread} to {_FLOATS}")]

    def load_codes(self, f: Function, tile: str) -> list[str]:
        """The indices of the fractions, their mask, two vectors of signs and exponents, two masks of nonzero lanes."""
        index = f.op(f"load {_BYTES}, ptr {tile}, align 64")
        mask = f.op(f"icmp slt {_BYTES} {index}, zeroinitializer")
        words = [f.op(f"load {_HALVES}, ptr {f.offset(tile, LANES * k)}, align 64") for k in (1, 2)]
        present = [f.op(f"icmp ne {_HALVES} {own}, zeroinitializer") for own in words] if self.x_zeros else []
        return [index, mask, *words, *present]

    def add(self, f: Function, row: list[str], codes: list[str], sums: list[str]) -> list[str]:
        planes = [lookup(f, row[2 * k : 2 * k + 2], codes[:2]) for k in range(self.planes)]
        updated: list[str] = []
        for half, entry in enumerate(words_of(f, planes)):
            word = f.op(f"add {_HALVES} {codes[2 + half]}, {entry}")
            if self.x_zeros:
                word = f.op(f"select <32 x i1> {codes[4 + half]}, {_HALVES} {word}, {_HALVES} zeroinitializer")
            pairs = f.op(f"bitcast {_HALVES} {word} to {_PAIRS}")
            low = f.op(f"shl {_PAIRS} {pairs}, splat (i32 16)")
            high = f.op(f"and {_PAIRS} {pairs}, splat (i32 -65536)")
            for pattern in (low, high):
                term = f"{_FLOATS} {f.op(f'bitcast {_PAIRS} {pattern} to {_FLOATS}')}"
                arguments = f"{term}, {_FLOATS} {row[-1]}, {_FLOATS} {sums[len(updated)]}"
                updated.append(f.op(f"call {_FLOATS} @llvm.fma.v16f32({arguments})"))
        return updated

    def results(self, f: Function, totals: str) -> list[str]:
        """The four sums have rows 4 i, 4 i + 2, 4 i + 1 and 4 i + 3."""
        sums = self.begin(f, totals)
        pairs = []
        for half in range(2):
            lanes = ", ".join(f"i32 {8 * half + i // 2 + 16 * (i % 2)}" for i in range(16))
            pairs.append(
                [
                    f.op(f"shufflevector {_FLOATS} {sums[k]}, {_FLOATS} {sums[k + 1]}, <16 x i32> <{lanes}>")
                    for k in (0, 2)
                ]
            )
        ordered = []
        for even, odd in pairs:
            for first in (0, 8):
                lanes = ", ".join(f"i32 {first + i // 2 + 16 * (i % 2)}" for i in range(16))
                ordered.append(f.op(f"shufflevector {_FLOATS} {even}, {_FLOATS} {odd}, <16 x i32> <{lanes}>"))
        return ordered


def words_of(f: Function, planes: list[str]) -> list[str]:
    """Words of 1 or 2 planes, the lower bytes first: two vectors of 32, those of even and those of odd rows.

    By masks and shifts, because the port of byte permutations is the busiest one.
    """
    low, *upper = (f.op(f"bitcast {_BYTES} {plane} to {_HALVES}") for plane in planes)
    even = f.op(f"and {_HALVES} {low}, splat (i16 255)")
    odd = f.op(f"lshr {_HALVES} {low}, splat (i16 8)")
    for high in upper:
        even = f.op(f"or {_HALVES} {even}, {f.op(f'shl {_HALVES} {high}, splat (i16 8)')}")
        odd = f.op(f"or {_HALVES} {odd}, {f.op(f'and {_HALVES} {high}, splat (i16 -256)')}")
    return [even, odd]


def _store_tile(f: Function, halves: list[str], tile: str) -> None:
    """A block's part of the tile for one k, from the upper halves of rows 0 .. 31 and 32 .. 63."""
    halves = list(halves)
    for part, value in enumerate(halves):
        magnitude = f.op(f"and {_HALVES} {value}, splat (i16 32767)")
        zero = f.op(f"icmp eq {_HALVES} {magnitude}, zeroinitializer")
        halves[part] = f.op(f"select <32 x i1> {zero}, {_HALVES} zeroinitializer, {_HALVES} {value}")
    low = _bytes_of(f, halves)
    high = _bytes_of(f, [f.op(f"lshr {_HALVES} {value}, splat (i16 8)") for value in halves])
    # Bit 6 of the fraction goes to bit 7, where a mask is made from it in one instruction; `vpermb` looks at the
    # lower six bits only. Adding bit 6 to itself moves it.
    fraction = f.op(f"and {_BYTES} {low}, splat (i8 127)")
    index = f.op(f"add {_BYTES} {fraction}, {f.op(f'and {_BYTES} {fraction}, splat (i8 64)')}")
    f.do(f"store {_BYTES} {index}, ptr {tile}, align 64")
    lowest = f.op(f"and {_BYTES} {low}, splat (i8 -128)")
    for number, words in enumerate(words_of(f, [lowest, high])):
        f.do(f"store {_HALVES} {words}, ptr {f.offset(tile, LANES * (1 + number))}, align 64")


def _bytes_of(f: Function, halves: list[str]) -> str:
    """The low bytes of 64 words."""
    low, high = (f.op(f"trunc {_HALVES} {value} to <32 x i8>") for value in halves)
    lanes = ", ".join(f"i32 {lane}" for lane in range(LANES))
    return f.op(f"shufflevector <32 x i8> {low}, <32 x i8> {high}, <64 x i32> <{lanes}>")
