"""Integer terms of the permutation kernel: byte planes are looked up, and summed in 16-bit lanes.

The table holds products less the smallest one, so that its `planes` bytes are unsigned. A plane's 64 bytes of a term
are 32 words w = odd byte * 256 + even byte. Two sums a plane, both modulo 2^16,

    A = sum of w        B = sum of (w >> 8) = sum of odd bytes        (A - 256 B) mod 2^16 = sum of even bytes

take three instructions for 64 bytes where two zero-extended sums would take four. They are exact while the sums of
bytes fit 16 bits, for 257 terms, since 257 * 255 = 65,535. Behind a chunk, S = sum over planes of 256^plane times the
plane's sum of bytes, below 2^32 for 3 planes and 256 terms; the smallest product times the number of terms, the task's
constant, is added at the end. In 32 bits all this may wrap around, as long as the final sum fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.kernel_task import LANES
from circuits.engine.table_kernels.row_runs import run_count, run_of

_BYTES = "<64 x i8>"
_WORDS = "<32 x i16>"
PERMUTATIONS = """
declare <64 x i8> @llvm.x86.avx512.permvar.qi.512(<64 x i8>, <64 x i8>)
declare <64 x i8> @llvm.masked.load.v64i8.p0(ptr, i32, <64 x i1>, <64 x i8>)
"""


def load_code_bytes(f: Function, tile: str, segments: int) -> list[str]:
    """64 codes, then the masks of those with bit 6 set, bit 7, and both, as far as `segments` registers need them."""
    codes = f.op(f"load {_BYTES}, ptr {tile}, align 64")
    values = [codes]
    if segments > 1:
        bit = f.op(f"and {_BYTES} {codes}, splat (i8 64)")
        values.append(f.op(f"icmp ne {_BYTES} {bit}, zeroinitializer"))
    if segments > 2:
        values.append(f.op(f"icmp slt {_BYTES} {codes}, zeroinitializer"))
        values.append(f.op(f"and <64 x i1> {values[1]}, {values[2]}"))
    return values


def lookup(f: Function, registers: list[str], codes: list[str]) -> str:
    """64 bytes of a plane of 64, 128 or 256 bytes, one for each of 64 codes; `codes` from `load_code_bytes`.

    `vpermb` under a mask writes over lanes of the registers before it at no cost. `vpermi2b`, which picks from two
    registers, takes three micro-operations where this takes two.
    """
    indices, *masks = codes
    found = ""
    for register, mask in zip(registers, ["", *masks], strict=True):
        own = f.op(f"call {_BYTES} @llvm.x86.avx512.permvar.qi.512({_BYTES} {register}, {_BYTES} {indices})")
        found = f.op(f"select <64 x i1> {mask}, {_BYTES} {own}, {_BYTES} {found}") if mask else own
    return found


def gather_bytes(f: Function, places: list[str], runs: str, tiles: list[str]) -> None:
    """Stores 64 bytes of x, found by runs from each of `places`, to each of `tiles`."""
    sources = [f.offset("%x", place) for place in places]
    with f.fold(run_count(f, runs), _BYTES, ["zeroinitializer"] * len(places)) as (number, codes):
        start, mask = run_of(f, runs, number)
        lanes = f.op(f"bitcast i64 {mask} to <64 x i1>")
        for i, source in enumerate(sources):
            codes[i] = f.op(
                f"call {_BYTES} @llvm.masked.load.v64i8.p0(ptr {f.offset(source, start)}, i32 1, <64 x i1> {lanes}, "
                f"{_BYTES} {codes[i]})"
            )
    for value, tile in zip(codes, tiles, strict=True):
        f.do(f"store {_BYTES} {value}, ptr {tile}, align 64")


def load_planes(f: Function, table: str, weight: str, planes: int, segments: int) -> list[str]:
    """The registers of the table row of the weight at this place, plane by plane."""
    address = f.offset("%w", weight)
    code = f.op(f"zext i8 {f.op(f'load i8, ptr {address}')} to i64")
    row = f.offset(table, f.op(f"mul i64 {code}, {planes * segments * LANES}"))
    return [f.op(f"load {_BYTES}, ptr {f.offset(row, LANES * k)}, align 64") for k in range(planes * segments)]


@dataclass(frozen=True)
class IntegerTerms:
    """`Terms` of integers: 1 to 3 byte `planes` of 1, 2 or 4 `segments` of 64 codes; results i32 or i64."""

    planes: int
    segments: int
    result: str = "i32"

    tile_bytes = LANES
    most_blocks = 2
    kind = _WORDS

    @property
    def accumulators(self) -> int:
        """A and B for each plane."""
        return 2 * self.planes

    def declarations(self) -> str:
        return PERMUTATIONS

    def gather(self, f: Function, places: list[str], runs: str, tiles: list[str]) -> None:
        gather_bytes(f, places, runs, tiles)

    def load_row(self, f: Function, table: str, weight: str) -> list[str]:
        return load_planes(f, table, weight, self.planes, self.segments)

    def begin(self, f: Function, totals: str) -> list[str]:
        return ["zeroinitializer"] * self.accumulators

    def load_codes(self, f: Function, tile: str) -> list[str]:
        return load_code_bytes(f, tile, self.segments)

    def add(self, f: Function, row: list[str], codes: list[str], sums: list[str]) -> list[str]:
        updated = []
        for plane in range(self.planes):
            registers = row[plane * self.segments : (plane + 1) * self.segments]
            words = f.op(f"bitcast {_BYTES} {lookup(f, registers, codes)} to {_WORDS}")
            odd = f.op(f"lshr {_WORDS} {words}, splat (i16 8)")
            updated.append(f.op(f"add {_WORDS} {sums[2 * plane]}, {words}"))
            updated.append(f.op(f"add {_WORDS} {sums[2 * plane + 1]}, {odd}"))
        return updated

    def end(self, f: Function, totals: str, sums: list[str]) -> None:
        """Totals lie as even rows 0 .. 30 and 32 .. 62, then the odd ones."""
        size = 8 if self.result == "i64" else 4
        for parity in range(2):
            for half in range(2):
                total = ""
                for plane in range(self.planes):
                    a, b = sums[2 * plane], sums[2 * plane + 1]
                    if parity == 0:
                        b = f.op(f"sub {_WORDS} {a}, {f.op(f'shl {_WORDS} {b}, splat (i16 8)')}")
                    lanes = ", ".join(f"i32 {16 * half + lane}" for lane in range(16))
                    words = f.op(f"shufflevector {_WORDS} {b}, {_WORDS} poison, <16 x i32> <{lanes}>")
                    wide = f.op(f"zext <16 x i16> {words} to <16 x i32>")
                    if plane:
                        wide = f.op(f"shl <16 x i32> {wide}, splat (i32 {8 * plane})")
                    total = f.op(f"add <16 x i32> {total}, {wide}") if plane else wide
                if self.result == "i64":
                    total = f.op(f"zext <16 x i32> {total} to <16 x i64>")
                vector = f"<16 x {self.result}>"
                address = f.offset(totals, (2 * parity + half) * 16 * size)
                before = f.op(f"load {vector}, ptr {address}, align 64")
                f.do(f"store {vector} {f.op(f'add {vector} {before}, {total}')}, ptr {address}, align 64")

    def results(self, f: Function, totals: str) -> list[str]:
        size, vector = (8 if self.result == "i64" else 4), f"<16 x {self.result}>"
        even0, even1, odd0, odd1 = (
            f.op(f"load {vector}, ptr {f.offset(totals, k * 16 * size)}, align 64") for k in range(4)
        )
        return [
            interleave(f, vector, even, odd, first) for even, odd in ((even0, odd0), (even1, odd1)) for first in (0, 8)
        ]


def interleave(f: Function, vector: str, even: str, odd: str, first: int) -> str:
    """The 16 elements even[first], odd[first], even[first + 1], ... of vectors of 16."""
    lanes = ", ".join(f"i32 {first + lane // 2 + 16 * (lane % 2)}" for lane in range(16))
    return f.op(f"shufflevector {vector} {even}, {vector} {odd}, <16 x i32> <{lanes}>")
