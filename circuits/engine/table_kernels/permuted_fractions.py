"""Terms of the permutation kernel for formats with at most 7 fraction bits and any exponent, such as bfloat16.

Operands and products are known by the upper halves h of their float32 patterns: sign, 8 exponent bits, 7 fraction bits.
Where no product leaves the format's normal range, with the table's entry for both fractions (`FractionImage`),

    h(x w)  =  (h(x) without fraction) + (h(w) without fraction) - h(1.0) + h(1.0) + entry - h(1.0)
            =  (h(x) & 0xFF80) + ((h(w) & 0xFF80) - 0x3F80) + entry        modulo 2^16,

because a product's exponent is the sum of both, and one bit's sum without carry is the XOR of the signs. Zeros have no
such form: lanes where x is zero, or all where w is, add +0, which changes no sum that begins at +0.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.kernel_task import LANES
from circuits.engine.table_kernels.permuted_floats import FloatSums, add_words, unpacked
from circuits.engine.table_kernels.permuted_integers import lookup
from circuits.engine.table_kernels.row_runs import run_count, run_of

_BYTES = "<64 x i8>"
_HALVES = "<32 x i16>"
_PAIRS = "<16 x i32>"
_DECLARATIONS = """
declare <64 x i8> @llvm.x86.avx512.permvar.qi.512(<64 x i8>, <64 x i8>)
declare <32 x i16> @llvm.masked.load.v32i16.p0(ptr, i32, <32 x i1>, <32 x i16>)
"""


@dataclass(frozen=True)
class FractionTerms(FloatSums):
    """`Terms` of upper halves, uint16, with 1 or 2 byte planes of entries.

    The tile holds, of each k and block, 64 bytes that index the fractions and 64 words of signs and exponents in the
    order of `unpacked`, 0 for zeros. `x_zeros`, `w_zeros`: whether zeros may be among the codes of x, and of w.
    """

    planes: int
    x_zeros: bool = True
    w_zeros: bool = True

    tile_bytes = 3 * LANES
    most_blocks = 2

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
        """The planes' registers, what the weight adds to every word, and the mask of all lanes, or none for a zero."""
        half = f.op(f"load i16, ptr {f.element('%w', 'i16', weight)}")
        fraction = f.op(f"zext i16 {f.op(f'and i16 {half}, 127')} to i64")
        row = f.offset(table, f.op(f"mul i64 {fraction}, {2 * LANES * self.planes}"))
        registers = [f.op(f"load {_BYTES}, ptr {f.offset(row, LANES * k)}, align 64") for k in range(2 * self.planes)]
        addend = f.op(f"sub i16 {f.op(f'and i16 {half}, -128')}, {0x3F80}")
        values = [*registers, _spread(f, addend)]
        if self.w_zeros:
            nonzero = f.op(f"icmp ne i16 {f.op(f'and i16 {half}, 32767')}, 0")
            values.append(f.op(f"bitcast i32 {f.op(f'sext i1 {nonzero} to i32')} to <32 x i1>"))
        return values

    def load_codes(self, f: Function, tile: str) -> list[str]:
        """The indices of the fractions, their mask, two vectors of signs and exponents, two masks of nonzero lanes."""
        index = f.op(f"load {_BYTES}, ptr {tile}, align 64")
        mask = f.op(f"icmp slt {_BYTES} {index}, zeroinitializer")
        words = [f.op(f"load {_HALVES}, ptr {f.offset(tile, LANES * k)}, align 64") for k in (1, 2)]
        present = [f.op(f"icmp ne {_HALVES} {own}, zeroinitializer") for own in words] if self.x_zeros else []
        return [index, mask, *words, *present]

    def add(self, f: Function, row: list[str], codes: list[str], sums: list[str]) -> list[str]:
        addend, all_lanes = row[2 * self.planes], row[2 * self.planes + 1 :]
        planes = [lookup(f, row[2 * k : 2 * k + 2], codes[:2]) for k in range(self.planes)]
        entries = unpacked(f, planes[0], planes[1] if self.planes == 2 else "zeroinitializer")
        words = []
        for half, entry in enumerate(entries):
            total = f.op(f"add {_HALVES} {codes[2 + half]}, {f.op(f'bitcast {_PAIRS} {entry} to {_HALVES}')}")
            total = f.op(f"add {_HALVES} {total}, {addend}")
            masks = [*codes[4 + half : 5 + half], *all_lanes]
            if masks:
                present = f.op(f"and <32 x i1> {masks[0]}, {masks[1]}") if len(masks) == 2 else masks[0]
                total = f.op(f"select <32 x i1> {present}, {_HALVES} {total}, {_HALVES} zeroinitializer")
            words.append(f.op(f"bitcast {_HALVES} {total} to {_PAIRS}"))
        return add_words(f, words, sums)


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
    for number, words in enumerate(unpacked(f, lowest, high)):
        f.do(f"store {_PAIRS} {words}, ptr {f.offset(tile, LANES * (1 + number))}, align 64")


def _bytes_of(f: Function, halves: list[str]) -> str:
    """The low bytes of 64 words."""
    low, high = (f.op(f"trunc {_HALVES} {value} to <32 x i8>") for value in halves)
    lanes = ", ".join(f"i32 {lane}" for lane in range(LANES))
    return f.op(f"shufflevector <32 x i8> {low}, <32 x i8> {high}, <64 x i32> <{lanes}>")


def _spread(f: Function, value: str) -> str:
    """A 16-bit value in all 32 words."""
    first = f.op(f"insertelement {_HALVES} poison, i16 {value}, i32 0")
    return f.op(f"shufflevector {_HALVES} {first}, {_HALVES} poison, <32 x i32> zeroinitializer")
